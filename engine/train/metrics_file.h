// metrics.jsonl: what a training run says of itself, one JSON object a line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace otnfm {

class MetricsFile {
 public:
  /// Begins anew, or, where it goes on, after the lines of steps up to `step`: later ones will be written again.
  MetricsFile(const std::filesystem::path& path, bool goes_on, std::uint64_t step);

  /// RunError where the disk does not take it.
  void write(const nlohmann::json& line);

 private:
  std::string path_;
  std::ofstream file_;
};

}  // namespace otnfm
