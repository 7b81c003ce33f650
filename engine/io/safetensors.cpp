#include "engine/io/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "engine/core/json_text.h"
#include "engine/io/atomic_file.h"
#include "engine/io/text.h"
#include "kernels/check.h"
#include "kernels/error.h"

namespace otnfm {

namespace {

using Json = nlohmann::json;

constexpr const char* kMetadataKey = "__metadata__";
constexpr std::int64_t kLengthBytes = 8;

constexpr std::pair<const char*, DType> kDTypes[] = {
    {"F32", DType::float32}, {"F64", DType::float64}, {"BF16", DType::bfloat16}, {"I32", DType::int32},
    {"I64", DType::int64},   {"U8", DType::uint8},    {"U64", DType::uint64},
};

DType dtype_named(const Json& value, const std::string& where) {
  if (!value.is_string()) fail_input(where, "its dtype is not a string");
  const auto& text = value.get_ref<const std::string&>();
  for (const auto& [name, dtype] : kDTypes)
    if (text == name) return dtype;
  fail_input(where, fmt::format("dtype {} is not supported, wanted F32, F64, BF16, I32, I64, U8 or U64", quote(text)));
}

const char* dtype_text(DType dtype) {
  for (const auto& [name, known] : kDTypes)
    if (known == dtype) return name;
  throw InputError(fmt::format("safetensors has no dtype {}", name_of(dtype)));
}

std::vector<std::int64_t> sizes(const Json& value, const char* what, std::size_t most, const std::string& where) {
  if (!value.is_array()) fail_input(where, fmt::format("its {} is not a list", what));
  if (value.size() > most)
    fail_input(where, fmt::format("its {} has {} entries, the most is {}", what, value.size(), most));
  std::vector<std::int64_t> result;
  for (const Json& entry : value) {
    if (!entry.is_number_unsigned() || entry.get<std::uint64_t>() > std::uint64_t{1} << 62)
      fail_input(where, fmt::format("its {} has an entry {}, wanted a whole number from 0 to 2^62", what,
                                    quote(json_text(entry))));
    result.push_back(entry.get<std::int64_t>());
  }
  return result;
}

const Json& field(const Json& entry, const char* key, const std::string& where) {
  const auto found = entry.find(key);
  if (found == entry.end()) fail_input(where, fmt::format("lacks {}", key));
  return *found;
}

Metadata parse_metadata(const Json& entry, const std::string& path) {
  if (!entry.is_object()) fail_input(path, "its __metadata__ is not an object");
  Metadata metadata;
  for (const auto& [key, value] : entry.items()) {
    if (!value.is_string()) fail_input(path, fmt::format("its metadata {} is not a string", quote(key)));
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

}  // namespace

SafetensorsFile SafetensorsFile::load(const std::filesystem::path& path, std::int64_t max_bytes) {
  const InputFile file(path, max_bytes);
  const std::string& name = file.path();
  if (file.size() < kLengthBytes)
    fail_input(name, fmt::format("holds {} bytes, too few for a safetensors file", file.size()));
  std::byte length_bytes[kLengthBytes];
  file.read(0, length_bytes);
  std::uint64_t length = 0;
  for (int i = kLengthBytes; i-- > 0;) length = length << 8 | static_cast<std::uint64_t>(length_bytes[i]);
  if (length > static_cast<std::uint64_t>(std::min(kMaxSafetensorsHeaderBytes, file.size() - kLengthBytes)))
    fail_input(
        name,
        fmt::format("declares a header of {} bytes; the file holds {} and the limit is {} (is it a safetensors file?)",
                    length, file.size() - kLengthBytes, kMaxSafetensorsHeaderBytes));
  const auto header_bytes = static_cast<std::int64_t>(length);
  std::vector<char> header(static_cast<std::size_t>(header_bytes));
  file.read(kLengthBytes, std::as_writable_bytes(std::span(header)));
  constexpr int kMostDepth = 3;  // what the format needs
  const Json json = parse_json_strictly({header.data(), header.size()}, kMostDepth, name + ": its header");
  if (!json.is_object()) fail_input(name, "its header is not a JSON object");

  SafetensorsFile result;
  result.path_ = name;
  const std::int64_t held = file.size() - kLengthBytes - header_bytes;
  std::vector<std::pair<std::int64_t, std::int64_t>> ranges;  // of tensors_[i], in the data
  for (const auto& [key, entry] : json.items()) {
    if (key == kMetadataKey) {
      result.metadata_ = parse_metadata(entry, name);
      continue;
    }
    const std::string where = name + ": tensor " + quote(key);
    if (!entry.is_object()) fail_input(where, "is not described by an object");
    NamedTensor tensor;
    tensor.name = key;
    tensor.dtype = dtype_named(field(entry, "dtype", where), where);
    tensor.shape = sizes(field(entry, "shape", where), "shape", kMaxRank, where);
    const std::vector<std::int64_t> offsets = sizes(field(entry, "data_offsets", where), "data_offsets", 2, where);
    if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > held)
      fail_input(where,
                 fmt::format("its data_offsets {} do not lie in the {} bytes of data", shape_text(offsets), held));
    const std::int64_t bytes = checked_bytes(tensor.shape, static_cast<std::int64_t>(size_of(tensor.dtype)));
    if (bytes != offsets[1] - offsets[0])
      fail_input(where, fmt::format("its shape {} of {} does not fill its {} bytes", shape_text(tensor.shape),
                                    name_of(tensor.dtype), offsets[1] - offsets[0]));
    ranges.emplace_back(offsets[0], offsets[1]);
    result.tensors_.push_back(std::move(tensor));
  }

  // In the order of the file, the end of each must be the beginning of the next.
  std::vector<std::size_t> order(ranges.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return ranges[a] < ranges[b]; });
  std::int64_t expected = 0;
  for (std::size_t i : order) {
    if (ranges[i].first != expected)
      fail_input(name,
                 fmt::format("tensor {} begins at byte {} of the data, wanted {} ({})", quote(result.tensors_[i].name),
                             ranges[i].first, expected, ranges[i].first < expected ? "an overlap" : "a gap"));
    expected = ranges[i].second;
  }
  if (expected != held) fail_input(name, fmt::format("its tensors end at byte {} of {} bytes of data", expected, held));

  result.bytes_ = allocate_bytes(held, name);
  file.read(kLengthBytes + header_bytes, result.bytes_);
  std::vector<NamedTensor> sorted;
  sorted.reserve(order.size());
  for (std::size_t i : order) {
    NamedTensor& tensor = result.tensors_[i];
    tensor.bytes = std::span<const std::byte>(result.bytes_)
                       .subspan(static_cast<std::size_t>(ranges[i].first),
                                static_cast<std::size_t>(ranges[i].second - ranges[i].first));
    result.index_[tensor.name] = sorted.size();
    sorted.push_back(std::move(tensor));
  }
  result.tensors_ = std::move(sorted);
  return result;
}

const NamedTensor& SafetensorsFile::tensor(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) fail_input(path_, "holds no tensor " + quote(name));
  return tensors_[found->second];
}

template <class T>
std::vector<T> SafetensorsFile::values(const std::string& name, std::span<const std::int64_t> shape) const {
  const NamedTensor& found = tensor(name);
  if (found.dtype != dtype_of<T> || !std::equal(shape.begin(), shape.end(), found.shape.begin(), found.shape.end()))
    fail_input(path_, fmt::format("tensor {} is {} {}, wanted {} {}", quote(name), name_of(found.dtype),
                                  shape_text(found.shape), name_of(dtype_of<T>), shape_text(shape)));
  std::vector<T> result(found.bytes.size() / sizeof(T));
  if (!result.empty()) std::memcpy(result.data(), found.bytes.data(), found.bytes.size());
  return result;
}

template <class T>
NamedTensor named_tensor(std::string name, View<T> values) {
  if (values.rank == 0 || !values.contiguous())
    throw InputError(fmt::format("tensor {} is {}, wanted a contiguous one", quote(name), describe(values)));
  return {std::move(name), dtype_of<T>, std::vector<std::int64_t>(values.shape, values.shape + values.rank),
          std::as_bytes(std::span<const T>(values.data, static_cast<std::size_t>(values.size())))};
}

void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const Metadata& metadata) {
  const std::string name = path.string();
  std::vector<const NamedTensor*> order;
  for (const NamedTensor& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const NamedTensor* a, const NamedTensor* b) {
    return std::pair(size_of(b->dtype), std::string_view(a->name)) <
           std::pair(size_of(a->dtype), std::string_view(b->name));
  });

  Json json = Json::object();
  if (!metadata.empty()) json[kMetadataKey] = metadata;
  std::int64_t offset = 0;
  for (const NamedTensor* tensor : order) {
    const auto bytes = static_cast<std::int64_t>(tensor->bytes.size());
    if (tensor->name == kMetadataKey || json.contains(tensor->name))
      fail_input(name, fmt::format("tensor name {} is used twice or reserved", quote(tensor->name)));
    if (tensor->shape.size() > kMaxRank ||
        checked_bytes(tensor->shape, static_cast<std::int64_t>(size_of(tensor->dtype))) != bytes)
      fail_input(name, fmt::format("tensor {} is {} {} with {} bytes", quote(tensor->name), name_of(tensor->dtype),
                                   shape_text(tensor->shape), bytes));
    json[tensor->name] = {
        {"dtype", dtype_text(tensor->dtype)}, {"shape", tensor->shape}, {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string header;
  try {
    header = json_text(json);
  } catch (const Json::type_error&) {
    fail_input(name, "a tensor's name or a metadata text is not UTF-8");
  }
  header.append((8 - header.size() % 8) % 8, ' ');  // so that the data are aligned in a mapped file
  if (static_cast<std::int64_t>(header.size()) > kMaxSafetensorsHeaderBytes)
    fail_input(name, fmt::format("its header would take {} bytes, the limit is {}", header.size(),
                                 kMaxSafetensorsHeaderBytes));

  std::byte length[kLengthBytes];
  for (int i = 0; i < kLengthBytes; ++i) length[i] = static_cast<std::byte>(header.size() >> (8 * i));
  AtomicFile file(path);
  file.write(length);
  file.write(header);
  for (const NamedTensor* tensor : order) file.write(tensor->bytes);
  file.commit();
}

#define OTNFM_INSTANTIATE(T)                                                                                   \
  template std::vector<T> SafetensorsFile::values<T>(const std::string&, std::span<const std::int64_t>) const; \
  template NamedTensor named_tensor<T>(std::string, View<T>);                                                  \
  template NamedTensor named_tensor<const T>(std::string, View<const T>);
OTNFM_INSTANTIATE(float)
OTNFM_INSTANTIATE(double)
OTNFM_INSTANTIATE(bfloat16)
OTNFM_INSTANTIATE(std::int32_t)
OTNFM_INSTANTIATE(std::int64_t)
OTNFM_INSTANTIATE(std::uint8_t)
OTNFM_INSTANTIATE(std::uint64_t)
#undef OTNFM_INSTANTIATE

}  // namespace otnfm
