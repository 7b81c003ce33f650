// safetensors: named tensors and a map of strings in one file. The format is described by the README of
// https://github.com/huggingface/safetensors, under "Format":
//
//   8 bytes       length of the header, little endian
//   the header    JSON: {"name": {"dtype", "shape", "data_offsets"}, ..., "__metadata__": {string: string}}
//   the data      the tensors' bytes, without gaps
//
// dtypes F32, F64, BF16, I32, I64, U8, U64; rank 0 to 4. The reader trusts nothing: header length against the file,
// offsets against each other and the file (no gap, no overlap), shape against bytes, no name twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/io/input_file.h"
#include "kernels/dtype.h"
#include "kernels/view.h"

namespace otnfm {

/// The longest JSON header that is read or written: 16 MiB.
inline constexpr std::int64_t kMaxSafetensorsHeaderBytes = std::int64_t{16} << 20;

using Metadata = std::map<std::string, std::string>;

/// A tensor of a file, or one to be written: it owns its name and shape, not its bytes.
struct NamedTensor {
  std::string name;
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;  ///< row-major; as read, aligned to its dtype only if the writer aligned it
};

/// A tensor to be written. InputError unless `values` is contiguous.
template <class T>
NamedTensor named_tensor(std::string name, View<T> values);

class SafetensorsFile {
 public:
  /// Reads the whole file. InputError that names the path and the offending value.
  static SafetensorsFile load(const std::filesystem::path& path, std::int64_t max_bytes = kMaxFileBytes);

  const std::string& path() const { return path_; }
  const Metadata& metadata() const { return metadata_; }
  /// In the order of their bytes in the file.
  const std::vector<NamedTensor>& tensors() const { return tensors_; }

  bool contains(const std::string& name) const { return index_.contains(name); }
  /// InputError that names the path and the tensor where there is none of that name. Valid as long as this object.
  const NamedTensor& tensor(const std::string& name) const;

  /// A tensor's elements. InputError unless it has T's dtype and this shape.
  template <class T>
  std::vector<T> values(const std::string& name, std::span<const std::int64_t> shape) const;

  SafetensorsFile(SafetensorsFile&&) = default;  // moving a vector keeps its memory, so the spans hold
  SafetensorsFile& operator=(SafetensorsFile&&) = default;

 private:
  SafetensorsFile() = default;

  std::string path_;
  Metadata metadata_;
  std::vector<std::byte> bytes_;
  std::vector<NamedTensor> tensors_;
  std::map<std::string, std::size_t> index_;
};

/// Writes atomically; the same input gives the same bytes (tensors by element size, largest first, then by name, so
/// that each is aligned). InputError where a name occurs twice, a text is not UTF-8, or bytes and shape disagree.
void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const Metadata& metadata = {});

}  // namespace otnfm
