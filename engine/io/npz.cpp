// The zip archive around .npy files. The central directory at the end of the file is what counts: NumPy leaves the
// sizes in the local headers to be filled in. Archives above 4 GiB (zip64) are refused: 32-bit fields that say so are
// never followed.
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <string_view>

#include "engine/io/inflate.h"
#include "engine/io/npy.h"
#include "engine/io/text.h"
#include "kernels/error.h"

namespace otnfm {

namespace {

constexpr std::int64_t kEndBytes = 22, kEntryBytes = 46, kLocalBytes = 30;

class ZipReader {
 public:
  ZipReader(const std::filesystem::path& path, std::int64_t max_bytes)
      : name_(path.string()), max_bytes_(max_bytes), bytes_(read_file(path, max_bytes)) {}

  /// A member that may be an array: where its directory entry stands.
  struct Entry {
    std::string name;  ///< without .npy
    std::int64_t at;
  };

  std::vector<Entry> entries() const {
    const std::int64_t end = find_end();
    const std::int64_t count = word(end + 10), directory = half_checked(end + 16, "directory offset");
    std::vector<Entry> result;
    std::int64_t at = directory;
    for (std::int64_t i = 0; i < count; ++i) {
      require(at, kEntryBytes, "directory");
      if (half(at) != 0x02014b50) fail_input(name_, fmt::format("its zip directory is damaged at byte {}", at));
      const std::int64_t name_bytes = word(at + 28), extra_bytes = word(at + 30), comment_bytes = word(at + 32);
      require(at + kEntryBytes, name_bytes, "directory");
      std::string member(reinterpret_cast<const char*>(bytes_.data() + at + kEntryBytes),
                         static_cast<std::size_t>(name_bytes));
      if (member.ends_with(".npy")) member.resize(member.size() - 4);
      result.push_back({std::move(member), at});
      at += kEntryBytes + name_bytes + extra_bytes + comment_bytes;
    }
    return result;
  }

  NpyArray array(const std::optional<std::string>& wanted, NpyBytes unsigned_bytes) const {
    const std::vector<Entry> found = entries();
    const Entry* chosen = nullptr;
    for (const Entry& entry : found) {
      if (wanted ? entry.name != *wanted : found.size() > 1) continue;
      if (chosen != nullptr) fail_input(name_, "two of its arrays are named " + quote(*wanted));
      chosen = &entry;
    }
    if (chosen != nullptr) return read_member(*chosen, unsigned_bytes);
    if (found.empty()) fail_input(name_, "holds no array");
    std::string names;
    for (const Entry& entry : found) names += (names.empty() ? "" : ", ") + quote(entry.name);
    if (wanted) fail_input(name_, fmt::format("has no array {}; it holds {}", quote(*wanted), names));
    fail_input(name_, fmt::format("holds {} arrays: name one of {}, as FILE.npz:NAME", found.size(), names));
  }

 private:
  std::int64_t size() const { return static_cast<std::int64_t>(bytes_.size()); }
  std::int64_t byte(std::int64_t at) const { return static_cast<std::int64_t>(bytes_[static_cast<std::size_t>(at)]); }
  std::int64_t word(std::int64_t at) const { return byte(at) | byte(at + 1) << 8; }
  std::int64_t half(std::int64_t at) const { return word(at) | word(at + 2) << 16; }  // 32 bits

  std::int64_t half_checked(std::int64_t at, const char* what) const {
    const std::int64_t value = half(at);
    if (value == 0xffffffff)
      fail_input(name_, fmt::format("its {} is a zip64 one: archives above 4 GiB are not supported", what));
    return value;
  }
  void require(std::int64_t at, std::int64_t count, const char* what) const {
    if (at > size() - count)
      fail_input(name_, fmt::format("its zip {} reaches beyond the file's {} bytes", what, size()));
  }

  // The end record stands before a comment of at most 65,535 bytes that reaches the end of the file.
  std::int64_t find_end() const {
    for (std::int64_t at = size() - kEndBytes; at >= std::max<std::int64_t>(0, size() - kEndBytes - 65535); --at)
      if (half(at) == 0x06054b50 && word(at + 20) == size() - kEndBytes - at) return at;
    fail_input(name_, "is not an .npz file (it has no zip directory)");
  }

  NpyArray read_member(const Entry& member, NpyBytes unsigned_bytes) const {
    const std::int64_t entry = member.at;
    const std::string name = name_ + ": array " + quote(member.name);
    const std::int64_t flags = word(entry + 8), method = word(entry + 10), checksum = half(entry + 16);
    const std::int64_t packed = half_checked(entry + 20, "member size"),
                       unpacked = half_checked(entry + 24, "member size");
    const std::int64_t local = half_checked(entry + 42, "member offset");
    if (flags & 1) fail_input(name, "is encrypted");
    if (method != 0 && method != 8)
      fail_input(name, fmt::format("is compressed by method {}, known are 0 and 8", method));
    require(local, kLocalBytes, "member");
    if (half(local) != 0x04034b50) fail_input(name, fmt::format("has no local header at byte {}", local));
    const std::int64_t data = local + kLocalBytes + word(local + 26) + word(local + 28);
    require(data, packed, "member");
    if (method == 0 ? unpacked != packed : unpacked > most_inflated(packed))
      fail_input(name,
                 fmt::format("declares {} bytes, more or less than its {} stored bytes can hold", unpacked, packed));
    if (unpacked > max_bytes_)
      fail_input(name, fmt::format("holds {} bytes, more than the limit of {}", unpacked, max_bytes_));

    const std::span<const std::byte> stored =
        std::span(bytes_).subspan(static_cast<std::size_t>(data), static_cast<std::size_t>(packed));
    std::vector<std::byte> inflated;
    std::span<const std::byte> content = stored;
    if (method == 8) {
      inflated = allocate_bytes(unpacked, name);
      Inflater inflater(stored, DeflateFormat::raw, name);
      inflater.read(inflated);
      inflater.expect_end();
      content = inflated;
    }
    if (static_cast<std::int64_t>(crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size())) !=
        checksum)
      fail_input(name, "its checksum is wrong");
    return parse_npy(content, name, unsigned_bytes);
  }

  std::string name_;
  std::int64_t max_bytes_;
  std::vector<std::byte> bytes_;
};

}  // namespace

std::vector<std::string> names_of_npz(const std::filesystem::path& path, std::int64_t max_bytes) {
  std::vector<std::string> names;
  for (ZipReader::Entry& entry : ZipReader(path, max_bytes).entries()) names.push_back(std::move(entry.name));
  return names;
}

NpyArray read_npz(const std::filesystem::path& path, const std::optional<std::string>& member, std::int64_t max_bytes,
                  NpyBytes unsigned_bytes) {
  return ZipReader(path, max_bytes).array(member, unsigned_bytes);
}

}  // namespace otnfm
