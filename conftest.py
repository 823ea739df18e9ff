"""Tests use the machine as the command line does."""

from tools.process import settle

settle()
