#include "engine/train/metrics_file.h"

#include <nlohmann/json.hpp>

#include "engine/core/json_text.h"
#include "engine/io/atomic_file.h"
#include "kernels/error.h"

namespace otnfm {

MetricsFile::MetricsFile(const std::filesystem::path& path, bool goes_on, std::uint64_t step) : path_(path.string()) {
  std::string kept;
  if (goes_on) {
    std::ifstream old(path);
    for (std::string line; std::getline(old, line);) {
      const nlohmann::json parsed = parse_json(line);
      if (parsed.is_object() && parsed.contains("step") && parsed["step"].is_number_unsigned() &&
          parsed["step"].get<std::uint64_t>() <= step)
        kept += line + "\n";
    }
    // What is kept is never lost on the way; where nothing is, there is nothing to wait for the disk for.
    write_file(path, kept);
  }
  file_.open(path, goes_on ? std::ios::app : std::ios::trunc);
  if (!file_) throw RunError(path_ + ": cannot be opened for writing");
}

void MetricsFile::write(const nlohmann::json& line) {
  file_ << json_text(line) << '\n' << std::flush;
  if (!file_) throw RunError(path_ + ": cannot be written to (is the disk full?)");
}

}  // namespace otnfm
