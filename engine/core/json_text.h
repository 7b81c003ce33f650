// JSON as text. What reads and writes it is compiled here alone: it is the greater part of what the library costs a
// file that includes it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace otnfm {

/// What `text` says; is_discarded() where it is not JSON.
nlohmann::json parse_json(std::string_view text);

/// The same of a file from outside, with what the library lets pass refused: a key that occurs twice, and values nested
/// deeper than `most_depth`. Throws InputError, which begins with `what` ("model: its header").
nlohmann::json parse_json_strictly(std::string_view text, int most_depth, const std::string& what);

/// On one line. Throws nlohmann::json::type_error where a string is not UTF-8.
std::string json_text(const nlohmann::json& value);

/// The same for people, who may have typed bytes that are no text: those are replaced.
std::string shown_json(const nlohmann::json& value);

/// NaN and infinities mean "not known", which JSON says with null.
nlohmann::json number_or_null(double value);

}  // namespace otnfm
