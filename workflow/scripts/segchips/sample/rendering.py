"""Renders the landscape as reflectance: ground, texture, shadows, clouds and sensor."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rasterio.warp import reproject

from segchips.arrays import Floats, Ints
from segchips.sample.acquisitions import Acquisition
from segchips.sample.frames import PIXEL_SIZE, Frame, project
from segchips.sample.landscape import BANDS, Landscape, Polygons

HAZE = (0.012, 0.006, 0.003, 0.001)
SHADOW_DEPTH = (0.50, 0.56, 0.60, 0.64)
SENSOR_NOISE = 0.0004


@dataclass(frozen=True)
class RenderedGround:
    """The landscape on one frame: index of the polygon in every pixel, and the texture that multiplies its spectrum."""

    frame: Frame
    polygon: Ints
    texture: Floats


def render_ground(landscape: Landscape, texture: Floats, ground: Frame, frame: Frame) -> RenderedGround:
    """Resamples the texture to a frame and rasterizes the polygons on it."""
    resampled = np.ones(frame.shape, "f4")
    reproject(
        texture,
        resampled,
        src_transform=ground.affine,
        src_crs=f"EPSG:{ground.epsg}",
        dst_transform=frame.affine,
        dst_crs=f"EPSG:{frame.epsg}",
        resampling=Resampling.bilinear,
    )
    return RenderedGround(
        frame, rasterize_polygons(project(landscape.polygons, ground.epsg, frame.epsg), frame), resampled
    )


def rasterize_polygons(polygons: Polygons, frame: Frame) -> Ints:
    """Returns the index of the last polygon at every pixel's centre."""
    shapes = zip(polygons, range(len(polygons)), strict=True)
    return np.asarray(rasterize(shapes, out_shape=frame.shape, transform=frame.affine, dtype="int32"))


def ground_texture(landscape: Landscape, ground: Frame, rng: Generator) -> Floats:
    """Returns factors around 1 for tree crowns and stands, uneven soil, and furrows along each field."""
    x, y = ground.centres
    polygon = rasterize_polygons(landscape.polygons, ground)
    across = landscape.across().astype("f4")
    phase = (across[:, 0][polygon] * x + across[:, 1][polygon] * y) * (2 * math.pi / 36)
    fine, coarse, furrow = (landscape.each(name).astype("f4")[polygon] for name in ("fine", "coarse", "furrow"))
    hills = fine * correlated_noise(ground.shape, 20, 2, rng) + coarse * correlated_noise(ground.shape, 150, 4, rng)
    return np.asarray(1 + hills + furrow * np.sin(phase))


def correlated_noise(shape: tuple[int, int], width: float, slope: float, rng: Generator) -> Floats:
    """Returns periodic noise of zero mean and unit variance.

    Args:
        shape: Rows and columns.
        width: Correlation length in metres.
        slope: Exponent of the spectrum; a lower one is rougher.
        rng: The random generator.
    """
    y, x = np.fft.fftfreq(shape[0], PIXEL_SIZE)[:, None], np.fft.rfftfreq(shape[1], PIXEL_SIZE)[None, :]
    strength = (1 + (x**2 + y**2) * width**2).astype("f4") ** (-slope / 2)
    strength[0, 0] = 0
    hills = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape, "f4")) * strength, shape)
    return np.asarray(hills / hills.std(), dtype="f4")


def render_bands(
    scene: Acquisition,
    rendered: RenderedGround,
    landscape: Landscape,
    cloud_field: Floats,
    shadow_field: Floats,
    rng: Generator,
) -> Iterable[Floats]:
    """Yields the reflectance of each band: ground, shadows, haze, clouds lit from the sun's side, sensor noise."""
    spectra, haze = landscape.reflectance(scene.day), rng.uniform(0.3, 1.2)
    opacity, darkness = (np.clip(field / 0.3, 0, 1) for field in (cloud_field, shadow_field))
    cloud = np.clip(
        0.5 + 0.25 * np.clip(cloud_field, 0, 1) + cloud_field - np.roll(cloud_field, (-2, -2), axis=(0, 1)), 0.35, 0.95
    )
    for band in range(len(BANDS)):
        ground = apply_point_spread(spectra[:, band][rendered.polygon] * rendered.texture)
        lit = ground * (1 - SHADOW_DEPTH[band] * darkness) + haze * HAZE[band]
        yield lit + opacity * (cloud - lit) + SENSOR_NOISE * rng.standard_normal(rendered.frame.shape, "f4")


def apply_point_spread(image: Floats) -> Floats:
    """Blurs by the sensor's point spread function, with weights 0.13, 0.74 and 0.13 in rows and columns."""
    padded = np.pad(image, 1, mode="edge")
    blurred = 0.74 * padded[1:-1] + 0.13 * (padded[:-2] + padded[2:])
    return np.asarray(0.74 * blurred[:, 1:-1] + 0.13 * (blurred[:, :-2] + blurred[:, 2:]))
