// Reads the keys of a JSON configuration: every key is known, every value has its type and lies in its range, or there
// is one InputError that names the key.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>

#include "kernels/error.h"

namespace otnfm {

class ConfigurationReader {
 public:
  /// `what` is whose configuration it is, for errors: "flow resnet".
  ConfigurationReader(const nlohmann::json& configuration, std::string what);

  void integer(const char* key, std::int64_t& value, std::int64_t lowest, std::int64_t highest);
  void number(const char* key, double& value, double lowest, double highest);
  void text(const char* key, std::string& value);
  void boolean(const char* key, bool& value);
  /// A key that is allowed and read by somebody else.
  void ignore(const char* key) { known_.insert(key); }

  /// Throws where the configuration has a key that nothing asked for.
  void finish() const;

 private:
  const nlohmann::json* find(const char* key);
  const nlohmann::json& configuration_;
  std::string what_;
  std::set<std::string> known_;
};

}  // namespace otnfm
