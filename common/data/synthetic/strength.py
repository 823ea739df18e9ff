"""How strongly cameras and views hide who a person is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Strength:
    """Spread of everything that is not identity. Pairs are ranges, drawn uniformly.

    Args:
        cast: sigma of the log gain per colour channel, per camera; gains have mean 1.
        exposure: sigma of the log gain of all channels, per camera.
        gamma: sigma of the log exponent, per camera.
        saturation: share of the colour that is left, per camera.
        black: largest black level per channel, of 255, per camera.
        noise: largest sigma of the pixel noise, of 255; times U(0.2, 1) per camera.
        blur: largest Gaussian radius in pixels of the small image, per camera.
        resolution: share to which the image is reduced and enlarged again, per camera.
        quality: of the JPEG file, per camera.
        vignette: largest change of light towards the edges, vertical and horizontal, per camera.
        view: sigma in degrees of the body's direction around the camera's own, per image.
        light: sigma of the log exposure and of a horizontal gradient, per image.
        crop: how far the box misses the person, per image: the scale has sigma 0.7 x this, the
            shift 0.6 x the width and 0.45 x the height.
        occlusion: probability that something stands in front; half of it: a second person.
    """

    cast: float
    exposure: float
    gamma: float
    noise: float
    blur: float
    resolution: tuple[float, float]
    view: float
    light: float
    crop: float
    occlusion: float
    saturation: tuple[float, float] = (0.5, 1.0)
    black: float = 28.0
    quality: tuple[int, int] = (45, 90)
    vignette: tuple[float, float] = (0.35, 0.30)


STRENGTHS = {
    "easy": Strength(
        cast=0.08,
        exposure=0.12,
        gamma=0.12,
        noise=7.0,
        blur=1.0,
        resolution=(0.6, 1.0),
        view=30.0,
        light=0.10,
        crop=0.06,
        occlusion=0.15,
    ),
    "default": Strength(
        cast=0.11,
        exposure=0.16,
        gamma=0.16,
        noise=8.0,
        blur=1.0,
        resolution=(0.58, 1.0),
        view=32.0,
        light=0.12,
        crop=0.07,
        occlusion=0.20,
    ),
    "hard": Strength(
        cast=0.15,
        exposure=0.20,
        gamma=0.22,
        noise=9.0,
        blur=1.1,
        resolution=(0.55, 1.0),
        view=35.0,
        light=0.15,
        crop=0.08,
        occlusion=0.25,
    ),
}
