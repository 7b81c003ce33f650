#include "engine/io/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "engine/io/atomic_file.h"
#include "engine/io/npy_header.h"
#include "engine/io/text.h"
#include "kernels/device/bfloat16.h"
#include "kernels/error.h"

namespace otnfm {

namespace {

// Fortran order: element (i, j, k, l) lies at i + shape[0] * (j + shape[1] * (k + shape[2] * l)).
std::vector<std::byte> row_major_from_fortran(const std::vector<std::byte>& source, const NpyHeader& header,
                                              const std::string& name) {
  std::int64_t size[kMaxRank] = {1, 1, 1, 1}, stride[kMaxRank] = {0, 0, 0, 0};
  std::int64_t step = 1;
  for (std::size_t axis = 0; axis < header.shape.size(); ++axis) {
    size[axis] = header.shape[axis];
    stride[axis] = step;
    step *= size[axis];
  }
  std::vector<std::byte> result = allocate_bytes(header.data_bytes, name);
  if (result.empty()) return result;
  const auto item = static_cast<std::size_t>(header.item_bytes);
  std::byte* to = result.data();
  for (std::int64_t i = 0; i < size[0]; ++i)
    for (std::int64_t j = 0; j < size[1]; ++j)
      for (std::int64_t k = 0; k < size[2]; ++k)
        for (std::int64_t l = 0; l < size[3]; ++l, to += item) {
          const std::int64_t from = i * stride[0] + j * stride[1] + k * stride[2] + l * stride[3];
          std::memcpy(to, source.data() + from * header.item_bytes, item);
        }
  return result;
}

void swap_bytes(std::vector<std::byte>& bytes, std::int64_t item) {
  for (auto at = bytes.begin(); at != bytes.end(); at += item) std::reverse(at, at + item);
}

// IEEE 754's binary16: 1 sign, 5 exponent and 10 stored mantissa bits. Each is a float32.
float float_of_half(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16, exponent = half >> 10 & 31u;
  const std::uint32_t mantissa = half & 1023u;
  if (exponent == 0) {  // a multiple of 2^-24
    const float size = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -size : size;
  }
  const std::uint32_t wide = exponent == 31 ? 255u : exponent + 112;  // the biases are 15 and 127
  return float_of_bits(sign | wide << 23 | mantissa << 13);
}

/// The elements of type From as numbers of type To, which holds each of them.
template <class From, class To, class Convert>
NpyArray widen(const NpyHeader& header, const std::vector<std::byte>& bytes, const std::string& name,
               const Convert& convert) {
  const std::size_t count = bytes.size() / sizeof(From);
  NpyArray array{dtype_of<To>, header.shape, allocate_bytes(static_cast<std::int64_t>(count * sizeof(To)), name)};
  for (std::size_t i = 0; i < count; ++i) {
    From from;
    std::memcpy(&from, bytes.data() + i * sizeof(From), sizeof(From));
    const To to = convert(from);
    std::memcpy(array.bytes.data() + i * sizeof(To), &to, sizeof(To));
  }
  return array;
}

template <class From, class To>
NpyArray widen(const NpyHeader& header, const std::vector<std::byte>& bytes, const std::string& name) {
  return widen<From, To>(header, bytes, name, [](From value) { return static_cast<To>(value); });
}

// int64 where each number is one; else float64, where that loses nothing.
NpyArray widen_uint64(const NpyHeader& header, std::vector<std::byte> bytes, const std::string& name) {
  bool fits = true;
  for (std::size_t i = 0; i < bytes.size(); i += 8) fits = fits && (bytes[i + 7] & std::byte{0x80}) == std::byte{0};
  if (fits) return {DType::int64, header.shape, std::move(bytes)};
  return widen<std::uint64_t, double>(header, bytes, name, [&](std::uint64_t value) {
    const auto near = static_cast<double>(value);
    if (near >= 0x1p64 || static_cast<std::uint64_t>(near) != value)
      fail_input(name, fmt::format("the number {} is neither an int64 nor a float64", value));
    return near;
  });
}

NpyArray finish(const NpyHeader& header, std::vector<std::byte> bytes, const std::string& name,
                NpyBytes unsigned_bytes) {
  if (header.fortran_order && header.shape.size() > 1) bytes = row_major_from_fortran(bytes, header, name);
  if (header.big_endian) swap_bytes(bytes, header.item_bytes);
  switch (header.type) {
    case NpyType::float16:
      return widen<std::uint16_t, float>(header, bytes, name, float_of_half);
    case NpyType::float32:
      return {DType::float32, header.shape, std::move(bytes)};
    case NpyType::float64:
      return {DType::float64, header.shape, std::move(bytes)};
    case NpyType::int8:
      return widen<std::int8_t, std::int32_t>(header, bytes, name);
    case NpyType::int16:
      return widen<std::int16_t, std::int32_t>(header, bytes, name);
    case NpyType::int32:
      return {DType::int32, header.shape, std::move(bytes)};
    case NpyType::int64:
      return {DType::int64, header.shape, std::move(bytes)};
    case NpyType::uint8:
      if (unsigned_bytes == NpyBytes::kept) return {DType::uint8, header.shape, std::move(bytes)};
      return widen<std::uint8_t, std::int32_t>(header, bytes, name);
    case NpyType::uint16:
      return widen<std::uint16_t, std::int32_t>(header, bytes, name);
    case NpyType::uint32:
      return widen<std::uint32_t, std::int64_t>(header, bytes, name);
    case NpyType::uint64:
      return widen_uint64(header, std::move(bytes), name);
    case NpyType::boolean:
      return widen<std::uint8_t, std::int32_t>(header, bytes, name, [](std::uint8_t value) { return value != 0; });
  }
  throw RunError(name + ": an element type without a reader");
}

}  // namespace

NpyArray parse_npy(std::span<const std::byte> bytes, const std::string& name, NpyBytes unsigned_bytes) {
  const NpyHeader header = parse_npy_header(bytes.first(std::min<std::size_t>(bytes.size(), kMaxNpyHeaderBytes + 12)),
                                            static_cast<std::int64_t>(bytes.size()), name);
  std::vector<std::byte> data = allocate_bytes(header.data_bytes, name);
  if (!data.empty()) std::memcpy(data.data(), bytes.data() + header.data_offset, data.size());
  return finish(header, std::move(data), name, unsigned_bytes);
}

NpyArray read_npy(const std::filesystem::path& path, std::int64_t max_bytes, NpyBytes unsigned_bytes) {
  const InputFile file(path, max_bytes);
  std::vector<std::byte> prefix(static_cast<std::size_t>(std::min(file.size(), kMaxNpyHeaderBytes + 12)));
  file.read(0, prefix);
  const NpyHeader header = parse_npy_header(prefix, file.size(), file.path());
  std::vector<std::byte> data = allocate_bytes(header.data_bytes, file.path());
  file.read(header.data_offset, data);
  return finish(header, std::move(data), file.path(), unsigned_bytes);
}

template <class T>
void write_npy(const std::filesystem::path& path, View<const T> values) {
  if (values.rank == 0) throw InputError(path.string() + ": a view without a shape cannot be written");
  const std::int64_t* shape = values.shape;
  const auto rank = static_cast<std::size_t>(values.rank);
  AtomicFile file(path);
  file.write(format_npy_header(dtype_of<T>, {shape, rank}));
  if (values.contiguous()) {
    file.write(std::as_bytes(std::span(values.data, static_cast<std::size_t>(values.size()))));
    file.commit();
    return;
  }
  // Gather through a buffer: one write a mebibyte, not one an element.
  constexpr std::size_t kBuffered = std::size_t{1} << 20;
  std::vector<T> buffer;
  buffer.reserve(kBuffered / sizeof(T));
  const std::int64_t size = values.size();
  for (std::int64_t i = 0; i < size; ++i) {
    std::int64_t rest = i, offset = 0;
    for (int axis = values.rank - 1; axis >= 0; --axis) {
      offset += rest % shape[axis] * values.stride[axis];
      rest /= shape[axis];
    }
    buffer.push_back(values.data[offset]);
    if (buffer.size() == buffer.capacity() || i + 1 == size) {
      file.write(std::as_bytes(std::span(buffer)));
      buffer.clear();
    }
  }
  file.commit();
}

template void write_npy<float>(const std::filesystem::path&, View<const float>);
template void write_npy<double>(const std::filesystem::path&, View<const double>);
template void write_npy<std::int32_t>(const std::filesystem::path&, View<const std::int32_t>);
template void write_npy<std::int64_t>(const std::filesystem::path&, View<const std::int64_t>);
template void write_npy<std::uint8_t>(const std::filesystem::path&, View<const std::uint8_t>);
template void write_npy<std::uint64_t>(const std::filesystem::path&, View<const std::uint64_t>);

}  // namespace otnfm
