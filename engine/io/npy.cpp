#include "engine/io/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>

#include "engine/io/atomic_file.h"
#include "engine/io/npy_header.h"
#include "engine/io/text.h"
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
  const std::size_t item = size_of(header.dtype);
  std::byte* to = result.data();
  for (std::int64_t i = 0; i < size[0]; ++i)
    for (std::int64_t j = 0; j < size[1]; ++j)
      for (std::int64_t k = 0; k < size[2]; ++k)
        for (std::int64_t l = 0; l < size[3]; ++l, to += item) {
          const std::int64_t from = i * stride[0] + j * stride[1] + k * stride[2] + l * stride[3];
          std::memcpy(to, source.data() + from * static_cast<std::int64_t>(item), item);
        }
  return result;
}

NpyArray finish(const NpyHeader& header, std::vector<std::byte> bytes, const std::string& name) {
  if (header.fortran_order && header.shape.size() > 1) bytes = row_major_from_fortran(bytes, header, name);
  if (header.is_bool)
    for (std::byte& b : bytes) b = b == std::byte{0} ? std::byte{0} : std::byte{1};
  return {header.dtype, header.shape, std::move(bytes)};
}

template <class T>
void convert(const NpyArray& array, FloatMatrix& matrix, const std::string& name) {
  for (std::size_t i = 0; i < matrix.values.size(); ++i) {
    T value;
    std::memcpy(&value, array.bytes.data() + i * sizeof(T), sizeof(T));
    const double exact = static_cast<double>(value);
    if (std::isfinite(exact) && std::abs(exact) > std::numeric_limits<float>::max())
      fail_input(name, fmt::format("the number {} in row {}, column {} is too large for float32", exact,
                                   static_cast<std::int64_t>(i) / matrix.columns,
                                   static_cast<std::int64_t>(i) % matrix.columns));
    matrix.values[i] = static_cast<float>(value);
  }
}

}  // namespace

NpyArray parse_npy(std::span<const std::byte> bytes, const std::string& name) {
  const NpyHeader header = parse_npy_header(bytes.first(std::min<std::size_t>(bytes.size(), kMaxNpyHeaderBytes + 12)),
                                            static_cast<std::int64_t>(bytes.size()), name);
  std::vector<std::byte> data = allocate_bytes(header.data_bytes, name);
  if (!data.empty()) std::memcpy(data.data(), bytes.data() + header.data_offset, data.size());
  return finish(header, std::move(data), name);
}

NpyArray read_npy(const std::filesystem::path& path, std::int64_t max_bytes) {
  const InputFile file(path, max_bytes);
  std::vector<std::byte> prefix(static_cast<std::size_t>(std::min(file.size(), kMaxNpyHeaderBytes + 12)));
  file.read(0, prefix);
  const NpyHeader header = parse_npy_header(prefix, file.size(), file.path());
  std::vector<std::byte> data = allocate_bytes(header.data_bytes, file.path());
  file.read(header.data_offset, data);
  return finish(header, std::move(data), file.path());
}

FloatMatrix read_matrix_float(const std::filesystem::path& path, std::int64_t max_bytes) {
  const std::string name = path.string();
  NpyArray array;
  if (path.extension() == ".npz") {
    std::map<std::string, NpyArray> arrays = read_npz(path, max_bytes);
    if (arrays.size() != 1) fail_input(name, fmt::format("holds {} arrays, wanted one", arrays.size()));
    array = std::move(arrays.begin()->second);
  } else {
    array = read_npy(path, max_bytes);
  }
  // [n, 0] takes no bytes whatever n is, so that n could be any lie.
  if (array.shape.size() != 2 || array.shape[1] == 0)
    fail_input(name, fmt::format("its shape is {}, wanted [n, d]", shape_text(array.shape)));

  FloatMatrix matrix;
  matrix.rows = array.shape[0];
  matrix.columns = array.shape[1];
  try {
    matrix.values.resize(static_cast<std::size_t>(array.size()));
  } catch (const std::bad_alloc&) {
    throw RunError(fmt::format("{}: not enough memory for its {} numbers", name, array.size()));
  }
  switch (array.dtype) {
    case DType::float32:
      convert<float>(array, matrix, name);
      break;
    case DType::float64:
      convert<double>(array, matrix, name);
      break;
    case DType::int32:
      convert<std::int32_t>(array, matrix, name);
      break;
    case DType::int64:
      convert<std::int64_t>(array, matrix, name);
      break;
    case DType::uint8:
      convert<std::uint8_t>(array, matrix, name);
      break;
    case DType::uint64:
      convert<std::uint64_t>(array, matrix, name);
      break;
    case DType::bfloat16:
    case DType::uint16:
      fail_input(name, fmt::format("{} is not read from .npy", name_of(array.dtype)));
  }
  return matrix;
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
