// Colours in sRGB, components in [0, 1].
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace otnfm {

struct Color {
  float red = 0, green = 0, blue = 0;

  /// 0xRRGGBB.
  static constexpr Color hex(unsigned rgb) {
    return {static_cast<float>(rgb >> 16 & 255) / 255, static_cast<float>(rgb >> 8 & 255) / 255,
            static_cast<float>(rgb & 255) / 255};
  }
};

constexpr Color mix(Color a, Color b, float weight_of_b) {
  return {a.red + (b.red - a.red) * weight_of_b, a.green + (b.green - a.green) * weight_of_b,
          a.blue + (b.blue - a.blue) * weight_of_b};
}

/// The viridis colour map (S. van der Walt and N. Smith, CC0) by 13 of its points, from dark blue at 0 to yellow at 1:
/// equal steps look equal, also in grey and to the colour-blind.
inline Color viridis(float value) {
  constexpr Color kPoints[] = {Color::hex(0x440154), Color::hex(0x481f70), Color::hex(0x443983), Color::hex(0x3b528b),
                               Color::hex(0x31688e), Color::hex(0x287c8e), Color::hex(0x21918c), Color::hex(0x20a486),
                               Color::hex(0x35b779), Color::hex(0x5ec962), Color::hex(0x90d743), Color::hex(0xc8e020),
                               Color::hex(0xfde725)};
  constexpr int kLast = 12;
  const float position = std::clamp(value, 0.0f, 1.0f) * kLast;
  const int below = std::min(static_cast<int>(position), kLast - 1);
  return mix(kPoints[below], kPoints[below + 1], position - static_cast<float>(below));
}

/// A colour wheel of equal lightness and chroma in Oklab (B. Ottosson, 2020); `angle` in radians.
inline Color color_wheel(double angle, double lightness = 0.62, double chroma = 0.14) {
  const double a = chroma * std::cos(angle), b = chroma * std::sin(angle);
  const double l_root = lightness + 0.3963377774 * a + 0.2158037573 * b;
  const double m_root = lightness - 0.1055613458 * a - 0.0638541728 * b;
  const double s_root = lightness - 0.0894841775 * a - 1.2914855480 * b;
  const double l = l_root * l_root * l_root, m = m_root * m_root * m_root, s = s_root * s_root * s_root;
  const auto encode = [](double linear) {
    linear = std::clamp(linear, 0.0, 1.0);
    return static_cast<float>(linear <= 0.0031308 ? 12.92 * linear : 1.055 * std::pow(linear, 1 / 2.4) - 0.055);
  };
  return {encode(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
          encode(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
          encode(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s)};
}

}  // namespace otnfm
