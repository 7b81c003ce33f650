#include "tests/cases/placement.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace otnfm::cases {
namespace {

constexpr std::size_t kGuardBytes = 256;

std::int64_t element_count(const std::vector<std::int64_t>& shape) {
  std::int64_t n = 1;
  for (std::int64_t size : shape) n *= size;
  return n;
}

template <class T>
void put_as(std::byte* to, double value) {
  T typed;
  if constexpr (std::is_same_v<T, bfloat16>)
    typed = bfloat16(static_cast<float>(value));
  else
    typed = static_cast<T>(value);
  std::memcpy(to, &typed, sizeof(T));
}

template <class T>
double get_as(const std::byte* from) {
  T typed;
  std::memcpy(&typed, from, sizeof(T));
  if constexpr (std::is_same_v<T, bfloat16>)
    return static_cast<double>(static_cast<float>(typed));
  else
    return static_cast<double>(typed);
}

void put(DType dtype, std::byte* to, double value) {
  switch (dtype) {
    case DType::float32:
      return put_as<float>(to, value);
    case DType::float64:
      return put_as<double>(to, value);
    case DType::bfloat16:
      return put_as<bfloat16>(to, value);
    case DType::int32:
      return put_as<std::int32_t>(to, value);
    case DType::int64:
      return put_as<std::int64_t>(to, value);
    case DType::uint8:
      return put_as<std::uint8_t>(to, value);
    case DType::uint16:
      return put_as<std::uint16_t>(to, value);
    case DType::uint64:
      return put_as<std::uint64_t>(to, value);
  }
}

double get(DType dtype, const std::byte* from) {
  switch (dtype) {
    case DType::float32:
      return get_as<float>(from);
    case DType::float64:
      return get_as<double>(from);
    case DType::bfloat16:
      return get_as<bfloat16>(from);
    case DType::int32:
      return get_as<std::int32_t>(from);
    case DType::int64:
      return get_as<std::int64_t>(from);
    case DType::uint8:
      return get_as<std::uint8_t>(from);
    case DType::uint16:
      return get_as<std::uint16_t>(from);
    case DType::uint64:
      return get_as<std::uint64_t>(from);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

const char* name_of(Placement placement) {
  switch (placement) {
    case Placement::exact:
      return "exact";
    case Placement::misaligned:
      return "misaligned";
    case Placement::padded:
      return "padded";
  }
  return "";
}

Values random_values(const Case& c, std::mt19937_64& random) {
  Values values;
  std::normal_distribution<double> normal;
  for (const Buffer& b : c.buffers) {
    std::vector<double>& v = values[b.name];
    v.assign(element_count(b.shape), std::numeric_limits<double>::quiet_NaN());
    if (b.role == Role::output) continue;
    for (double& x : v) {
      switch (b.fill.kind) {
        case Fill::Kind::normal:
          x = normal(random);
          break;
        case Fill::Kind::uniform:
          x = std::uniform_real_distribution<double>(b.fill.low, b.fill.high)(random);
          break;
        case Fill::Kind::integers:
          x = static_cast<double>(std::uniform_int_distribution<std::int64_t>(
              static_cast<std::int64_t>(b.fill.low), static_cast<std::int64_t>(b.fill.high) - 1)(random));
          break;
        case Fill::Kind::permutation: {  // from the inside out: x takes the place of one before it
          const std::int64_t last = static_cast<std::int64_t>(&x - v.data());
          const auto place = std::uniform_int_distribution<std::int64_t>(0, last)(random);
          x = v[place];
          v[place] = static_cast<double>(last);
          break;
        }
        case Fill::Kind::zeros:
          x = 0;
          break;
      }
    }
  }
  const auto round_inputs = [&] {
    for (const Buffer& b : c.buffers) {
      if (b.role == Role::output) continue;
      for (double& x : values.at(b.name)) {
        std::byte rounded[8];
        put(b.dtype, rounded, x);
        x = get(b.dtype, rounded);
      }
    }
  };
  round_inputs();
  if (c.draw_again) {
    c.draw_again(values, random);
    round_inputs();
  }
  return values;
}

PlacedCase::PlacedCase(Stream& stream, const Case& c, Placement placement, const Values& values) {
  for (const Buffer& b : c.buffers) {
    const std::size_t element = size_of(b.dtype);
    const bool guarded = placement != Placement::exact;
    const bool padded = placement == Placement::padded && b.may_pad && b.shape.size() == 2;
    Buffers::Placed placed{nullptr, b.dtype, static_cast<int>(b.shape.size()), {0, 0, 0, 0}, {0, 0, 0, 0}};
    std::int64_t step = 1;
    for (int axis = placed.rank - 1; axis >= 0; --axis) {
      placed.shape[axis] = b.shape[axis];
      placed.stride[axis] = step;
      step *= b.shape[axis];
      if (axis == 1 && padded) step += 3;
    }
    const std::int64_t n = element_count(b.shape);
    const std::int64_t span = n == 0 ? 0 : (padded ? (b.shape[0] - 1) * placed.stride[0] + b.shape[1] : n);
    const std::size_t start = guarded ? kGuardBytes + (placement == Placement::misaligned ? element : 0) : 0;

    Slot slot{b.name, b.dtype, {}, start + span * element + (guarded ? kGuardBytes : 0), {}};
    std::vector<std::byte> image(slot.bytes, std::byte{0xFF});
    slot.offset.resize(n);
    for (std::int64_t k = 0; k < n; ++k) {
      std::int64_t position = 0, rest = k;
      for (int axis = placed.rank - 1; axis >= 0; --axis) {
        position += rest % b.shape[axis] * placed.stride[axis];
        rest /= b.shape[axis];
      }
      slot.offset[k] = start + position * element;
      if (b.role != Role::output) put(b.dtype, &image[slot.offset[k]], values.at(b.name)[k]);
    }
    slot.memory = Memory(stream.device(), slot.bytes, b.name.c_str());
    copy_bytes(stream, slot.memory.data(), image.data(), slot.bytes);
    stream.synchronize();
    placed.data = slot.memory.data() ? slot.memory.data() + start : nullptr;
    buffers_.placed[b.name] = placed;
    slots_.push_back(std::move(slot));
  }
}

PlacedCase::Result PlacedCase::download(Stream& stream) const {
  Result result;
  for (const Slot& slot : slots_) {
    std::vector<std::byte> image(slot.bytes);
    copy_bytes(stream, image.data(), slot.memory.data(), slot.bytes);
    stream.synchronize();
    std::vector<double>& v = result.values[slot.name];
    std::vector<bool> ours(slot.bytes, false);
    for (std::size_t offset : slot.offset) {
      v.push_back(get(slot.dtype, &image[offset]));
      for (std::size_t k = 0; k < size_of(slot.dtype); ++k) ours[offset + k] = true;
    }
    for (std::size_t k = 0; k < slot.bytes; ++k)
      if (!ours[k] && image[k] != std::byte{0xFF}) result.damage = slot.name;
  }
  return result;
}

}  // namespace otnfm::cases
