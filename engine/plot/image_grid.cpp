#include "engine/plot/image_grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/plot/panels.h"
#include "kernels/check.h"

namespace otnfm {

namespace {

constexpr Color kGap = Color::hex(0x2d3036), kNotANumber = Color::hex(0xff00c8);

Color pixel_color(const View<const float>& images, std::int64_t image, std::int64_t pixel, std::int64_t channels) {
  float value[3];
  for (int channel = 0; channel < 3; ++channel) {
    const float raw = images(image, pixel * channels + (channels == 3 ? channel : 0));
    if (std::isnan(raw)) return kNotANumber;
    value[channel] = std::clamp((raw + 1) / 2, 0.0f, 1.0f);
  }
  return {value[0], value[1], value[2]};
}

}  // namespace

Image draw_image_grid(View<const float> images, const ImageGrid& options) {
  constexpr const char* kName = "draw_image_grid";
  constexpr std::int64_t kMostPixels = 20000;
  require(options.shape.size() == 3, kName, "shape", fmt::format("[{}]", fmt::join(options.shape, ", ")));
  const std::int64_t height = options.shape[0], width = options.shape[1], channels = options.shape[2];
  require(channels == 1 || channels == 3, kName, "channels", std::to_string(channels));
  require(height >= 1 && width >= 1 && height <= kMostPixels && width <= kMostPixels, kName, "image size",
          fmt::format("{} x {}", height, width));
  require(images.rank == 2 && images.columns() == channels * height * width, kName, "images",
          fmt::format("{}, wanted [n, {}]", describe(images), channels * height * width));
  require(options.columns >= 0 && options.scale >= 0, kName, "columns and scale",
          fmt::format("{} and {}", options.columns, options.scale));

  const std::int64_t count = images.rows();
  const std::int64_t scale = options.scale > 0 ? options.scale : std::max<std::int64_t>(1, 64 / width);
  const std::int64_t columns =
      options.columns > 0 ? options.columns
                          : std::max<std::int64_t>(1, std::llround(std::ceil(std::sqrt(static_cast<double>(count)))));
  const std::int64_t rows = std::max<std::int64_t>(1, (count + columns - 1) / columns);
  const std::int64_t gap = std::max<std::int64_t>(2, width * scale / 32);
  const std::int64_t cell_width = width * scale + gap, cell_height = height * scale + gap;
  require(columns <= kMostPixels && rows <= kMostPixels && columns * cell_width <= kMostPixels &&
              rows * cell_height <= kMostPixels,
          kName, "sheet",
          fmt::format("{} x {} images of {} x {} screen pixels", columns, rows, cell_width, cell_height));

  // The caption shrinks where it would be wider than the sheet.
  const auto sheet_width = static_cast<float>(columns * cell_width + gap);
  TextStyle style{.size = 24, .color = kInk};
  const float caption_width = text_width(options.caption, style);
  if (caption_width > sheet_width - 16) style.size *= std::max(0.4f, (sheet_width - 16) / caption_width);
  const std::int64_t top = options.caption.empty() ? 0 : std::llround(style.size * 1.7f);

  Canvas canvas(static_cast<int>(sheet_width), static_cast<int>(top + rows * cell_height + gap), kPaper);
  canvas.text(8, static_cast<float>(top) - style.size * 0.5f, options.caption, style);
  canvas.fill({0, static_cast<float>(top), sheet_width, static_cast<float>(canvas.height())}, kGap);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t left = i % columns * cell_width + gap, upper = top + i / columns * cell_height + gap;
    for (std::int64_t y = 0; y < height; ++y)
      for (std::int64_t x = 0; x < width; ++x) {
        const auto pixel_left = static_cast<float>(left + x * scale), pixel_top = static_cast<float>(upper + y * scale);
        const auto size = static_cast<float>(scale);
        canvas.fill({pixel_left, pixel_top, pixel_left + size, pixel_top + size},
                    pixel_color(images, i, y * width + x, channels));
      }
  }
  return canvas.image();
}

}  // namespace otnfm
