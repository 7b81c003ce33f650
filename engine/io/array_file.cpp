#include "engine/io/array_file.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "engine/io/csv.h"
#include "engine/io/text.h"
#include "kernels/error.h"

namespace otnfm {

namespace {

constexpr std::string_view kMember = ".npz:";

/// Calls use(data) with the elements, `const T*`; npy.h's comment names the types.
template <class Use>
void visit(const NpyArray& array, const Use& use) {
  switch (array.dtype) {
    case DType::float32:
      return use(reinterpret_cast<const float*>(array.bytes.data()));
    case DType::float64:
      return use(reinterpret_cast<const double*>(array.bytes.data()));
    case DType::int32:
      return use(reinterpret_cast<const std::int32_t*>(array.bytes.data()));
    case DType::int64:
      return use(reinterpret_cast<const std::int64_t*>(array.bytes.data()));
    case DType::uint8:
      return use(reinterpret_cast<const std::uint8_t*>(array.bytes.data()));
    default:
      throw RunError(fmt::format("an array file was read as {}", name_of(array.dtype)));
  }
}

// Compared as integers: a conversion back of 2^63 would not be one.
template <class To, class T>
bool is_exact(T value) {
  constexpr std::uint64_t kExact = std::uint64_t{1} << std::numeric_limits<To>::digits;
  const auto size = value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  return size <= kExact ||
         (size & (~std::uint64_t{0} << (std::bit_width(size) - std::numeric_limits<To>::digits))) == size;
}

template <class T>
std::vector<T> allocate(std::int64_t count, const std::string& name) {
  try {
    return std::vector<T>(static_cast<std::size_t>(count));
  } catch (const std::bad_alloc&) {
    throw RunError(fmt::format("{}: not enough memory for its {} numbers", name, count));
  }
}

template <class To>
bool holds(const NpyArray& array) {
  bool all = true;
  visit(array, [&]<class T>(const T* from) {
    if constexpr (std::is_floating_point_v<T>)
      all = sizeof(T) <= sizeof(To);  // by its type: float64 stays float64
    else
      for (std::int64_t i = 0; i < array.size() && all; ++i) all = is_exact<To>(from[i]);
  });
  return all;
}

template <class To>
void convert_to(NpyArray& array, const std::string& name) {
  if (array.dtype == dtype_of<To>) return;
  NpyArray result{dtype_of<To>, array.shape, allocate_bytes(array.size() * std::int64_t{sizeof(To)}, name)};
  To* to = reinterpret_cast<To*>(result.bytes.data());
  visit(array, [&](const auto* from) {
    for (std::int64_t i = 0; i < array.size(); ++i) to[i] = static_cast<To>(from[i]);
  });
  array = std::move(result);
}

}  // namespace

const std::string& array_file_names() {
  static const std::string names = "FILE.npy, FILE.npz (FILE.npz:NAME where it holds several arrays) or FILE.csv";
  return names;
}

bool is_array_file(std::string_view spec) {
  return spec.ends_with(".npy") || spec.ends_with(".csv") || spec.ends_with(".npz") ||
         spec.find(kMember) != std::string_view::npos;
}

NpyArray read_array(const std::string& spec, std::int64_t max_bytes, NpyBytes unsigned_bytes) {
  if (spec.ends_with(".npy")) return read_npy(spec, max_bytes, unsigned_bytes);
  if (spec.ends_with(".csv")) return read_csv(spec, max_bytes);
  if (spec.ends_with(".npz")) return read_npz(spec, std::nullopt, max_bytes, unsigned_bytes);
  const std::size_t member = spec.find(kMember);
  if (member == std::string::npos) fail_input(spec, "is of no kind that is read: wanted " + array_file_names());
  const std::size_t end = member + kMember.size();
  return read_npz(spec.substr(0, end - 1), spec.substr(end), max_bytes, unsigned_bytes);
}

void make_floats_of_one_type(NpyArray& first, const std::string& first_name, NpyArray& second,
                             const std::string& second_name) {
  if (holds<float>(first) && holds<float>(second)) {
    convert_to<float>(first, first_name);
    convert_to<float>(second, second_name);
    return;
  }
  for (const auto& [array, name] : {std::pair{&first, &first_name}, {&second, &second_name}}) {
    visit(*array, [&, name = name, array = array]<class T>(const T* from) {
      if constexpr (!std::is_floating_point_v<T>)
        for (std::int64_t i = 0; i < array->size(); ++i)
          if (!is_exact<double>(from[i])) fail_input(*name, fmt::format("the number {} is no float64", from[i]));
    });
    convert_to<double>(*array, *name);
  }
}

std::vector<double> read_vector(const std::string& spec, std::int64_t max_bytes) {
  const NpyArray array = read_array(spec, max_bytes);
  const bool is_line = spec.ends_with(".csv") && (array.shape[0] == 1 || array.shape[1] == 1);
  if (array.shape.size() != 1 && !is_line)
    fail_input(spec, fmt::format("its shape is {}, wanted [n]", shape_text(array.shape)));
  std::vector<double> values = allocate<double>(array.size(), spec);
  visit(array, [&](const auto* from) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(from[i]);
  });
  return values;
}

FloatMatrix read_matrix_float(const std::string& spec, std::int64_t max_bytes) {
  return matrix_float_of(read_array(spec, max_bytes), spec);
}

FloatMatrix matrix_float_of(const NpyArray& array, const std::string& spec) {
  // [n, 0] takes no bytes whatever n is, so that the file's size says nothing about n.
  if (array.shape.size() != 2 || array.shape[1] == 0)
    fail_input(spec, fmt::format("its shape is {}, wanted [n, d]", shape_text(array.shape)));
  FloatMatrix matrix;
  matrix.rows = array.shape[0];
  matrix.columns = array.shape[1];
  matrix.values = allocate<float>(array.size(), spec);
  visit(array, [&](const auto* from) {
    for (std::size_t i = 0; i < matrix.values.size(); ++i) {
      const auto exact = static_cast<double>(from[i]);
      if (std::isfinite(exact) && std::abs(exact) > std::numeric_limits<float>::max())
        fail_input(spec, fmt::format("the number {} in row {}, column {} is too large for float32", exact,
                                     static_cast<std::int64_t>(i) / matrix.columns,
                                     static_cast<std::int64_t>(i) % matrix.columns));
      matrix.values[i] = static_cast<float>(from[i]);
    }
  });
  return matrix;
}

template <class T>
void write_array(const std::filesystem::path& path, View<const T> values) {
  if (path.extension() == ".csv") return write_csv(path, values);
  std::error_code ignored;
  const std::filesystem::file_status status = std::filesystem::status(path, ignored);
  if (path.extension() != ".npy" && (!exists(status) || is_regular_file(status)))
    fail_input(path.string(), "must end in .npy or .csv");
  write_npy(path, values);
}

template void write_array<float>(const std::filesystem::path&, View<const float>);
template void write_array<double>(const std::filesystem::path&, View<const double>);
template void write_array<std::int64_t>(const std::filesystem::path&, View<const std::int64_t>);

}  // namespace otnfm
