#include "engine/core/json_text.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "kernels/error.h"

namespace otnfm {

using Json = nlohmann::json;

Json parse_json(std::string_view text) {
  return Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

Json parse_json_strictly(std::string_view text, int most_depth, const std::string& what) {
  std::vector<std::set<std::string>> keys;
  const auto check = [&](int depth, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start) {
      if (depth >= most_depth) throw InputError(what + " is nested too deeply");
    }
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(value.get_ref<const std::string&>()).second)
      throw InputError(what + " has " + shown_json(value) + " twice");
    return true;
  };
  try {
    return Json::parse(text, check);
  } catch (const Json::parse_error& error) {
    throw InputError(what + " is not JSON (at byte " + std::to_string(error.byte) + ")");
  } catch (const Json::exception&) {
    throw InputError(what + " is not JSON that can be read (a number beyond float64?)");
  }
}

std::string json_text(const Json& value) {
  return value.dump();
}

std::string shown_json(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json number_or_null(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

}  // namespace otnfm
