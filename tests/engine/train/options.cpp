// Options of training: each is read, written and checked as its line in the table says, and the couplings' are theirs.
#include "engine/train/options.h"

#include <gtest/gtest.h>

#include <set>

#include "engine/core/table.h"
#include "layers/flows/flow.h"

namespace otnfm {
namespace {

/// What an error says; "accepted" where there is none.
template <class Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

std::string refusal(const nlohmann::json& configuration, OptionNames names = OptionNames::keys) {
  TrainingOptions options;
  const nlohmann::json before = options.to_json();
  const std::string error = error_of([&] { options.read(configuration, names); });
  if (error != "accepted") {
    EXPECT_EQ(options.to_json(), before) << "an error left traces: " << configuration;
  }
  return error;
}

/// A value that the entry takes and that is not its default.
nlohmann::json another_value(const OptionEntry& entry) {
  if (entry.key == "flow") return {{"family", entry.words.back().name}, {"blocks", 3}};
  if (std::holds_alternative<std::string>(entry.standard))
    return entry.words.empty()                                   ? "something"
           : entry.words.front().name != json_of(entry.standard) ? entry.words.front().name
                                                                 : entry.words.back().name;
  if (std::holds_alternative<bool>(entry.standard)) return !std::get<bool>(entry.standard);
  const double standard = json_of(entry.standard).get<double>();
  const double value = standard == entry.range.least ? std::min(entry.range.most, 7.0) : entry.range.least;
  if (std::holds_alternative<double>(entry.standard)) return value;
  return static_cast<std::int64_t>(value);
}

TEST(Options, EachComesBackFromJsonAndChangesNoOther) {
  const nlohmann::json defaults = TrainingOptions().to_json();
  std::set<std::string> keys;
  for (const OptionEntry& entry : training_entries()) {
    EXPECT_TRUE(keys.insert(entry.key).second) << entry.key << " is there twice";
    if (entry.words.size() == 1) continue;  // the objective
    const nlohmann::json value = another_value(entry);
    ASSERT_NE(value, defaults[entry.key]) << entry.key;
    // What a plan's pairs need.
    nlohmann::json configuration = {{"coupling", "minibatch"}, {"solver", "sinkhorn"}};
    configuration[entry.key] = value;
    TrainingOptions options, again;
    options.read(configuration);
    const nlohmann::json written = options.to_json();
    again.read(written);
    EXPECT_EQ(again.to_json(), written) << entry.key;
    nlohmann::json expected = defaults;
    expected.update(configuration);
    EXPECT_EQ(written, expected) << entry.key;
  }
  for (const auto& [key, value] : defaults.items()) EXPECT_TRUE(keys.contains(key)) << key << " has no line";
}

TEST(Options, WhatIsOutOfItsRangeIsNamed) {
  int checked = 0;
  for (const OptionEntry& entry : training_entries()) {
    if (std::holds_alternative<std::string>(entry.standard)) continue;
    std::vector<nlohmann::json> wrong = {"fast", nullptr, nlohmann::json::array()};
    if (std::holds_alternative<double>(entry.standard)) {
      wrong.insert(wrong.end(), {entry.range.least - 1e-3, 2 * entry.range.most});
    } else if (std::holds_alternative<bool>(entry.standard)) {
      wrong.insert(wrong.end(), {1, 1.5});
    } else {
      wrong.insert(wrong.end(), {static_cast<std::int64_t>(entry.range.least) - 1, 1.5, std::uint64_t{1} << 63});
      if (entry.range.most < 0x1p62) wrong.push_back(static_cast<std::int64_t>(entry.range.most) + 1);
    }
    for (const nlohmann::json& value : wrong) {
      const std::string by_key = refusal({{entry.key, value}}), flag = flag_of(entry.key),
                        by_flag = refusal({{entry.key, value}}, OptionNames::flags);
      EXPECT_EQ(by_key.rfind("training configuration: \"" + entry.key + "\" must", 0), 0u) << by_key;
      EXPECT_EQ(by_flag.rfind(flag + " must", 0), 0u) << by_flag;
      EXPECT_NE(by_key.find(", not " + value.dump()), std::string::npos) << by_key;
      ++checked;
    }
  }
  EXPECT_GT(checked, 60);
}

TEST(Options, AWordThatThereIsNotIsAnsweredByThoseThatThereAre) {
  for (const OptionEntry& entry : training_entries()) {
    if (entry.words.empty()) continue;
    const nlohmann::json value =
        entry.key == "flow" ? nlohmann::json{{"family", "perfect"}} : nlohmann::json("perfect");
    const std::string error = refusal({{entry.key, value}}, OptionNames::flags);
    EXPECT_EQ(error.rfind(flag_of(entry.key) + " is 'perfect'", 0), 0u) << error;
    for (const OptionWord& word : entry.words) EXPECT_NE(error.find(word.name), std::string::npos) << error;
  }
  EXPECT_NE(refusal({{"stepz", 3}}).find("\"stepz\": there are data, "), std::string::npos);
  EXPECT_NE(refusal({{"coupling", 3}}).find("\"coupling\" must be a string, not 3"), std::string::npos);
  EXPECT_NE(refusal({{"flow", 3}}).find("\"flow\" must be an object, not 3"), std::string::npos);
  EXPECT_NE(refusal(nlohmann::json::array({1})).find("not a JSON object"), std::string::npos);
  EXPECT_NE(refusal({{"data", "\xff"}}).find("UTF-8"), std::string::npos);
}

TEST(Options, FilesOfEarlierVersionsAreReadAsTheyWereMeant) {
  TrainingOptions options;
  options.read({{"coupling", "minibatch"}, {"solver", "sinkhorn-argmax"}, {"steps", 7}});
  EXPECT_EQ(options.to_json()["solver"], "sinkhorn");
  EXPECT_EQ(options.to_json()["pairs"], "argmax");
  // A file from before there were caches, axes, a time weighting, mirror images.
  EXPECT_FALSE(options.flip);
  EXPECT_EQ(options.to_json()["caches"], 1);
  EXPECT_EQ(options.to_json()["axes"], 0);
  EXPECT_EQ(options.time_weighting, "uniform");
}

TEST(Options, DefaultsAreOfTheDataAndTheFamily) {
  const auto defaults = [](DataKind kind, const char* family) { return default_options(kind, family).to_json(); };
  for (const FlowFamily& family : flow_families()) {
    const nlohmann::json few = defaults(DataKind::few_dimensions, family.name),
                         many = defaults(DataKind::many_dimensions, family.name);
    EXPECT_EQ(few["lr"], family.learning_rate);
    EXPECT_EQ(few["steps"], family.steps);
    EXPECT_EQ(few["flow"], nlohmann::json({{"family", family.name}}));
    EXPECT_EQ(many["lr"], 1e-3) << "whatever the family";
    EXPECT_EQ(many["steps"], 8000);
  }
  const nlohmann::json few = defaults(DataKind::few_dimensions, "resnet"),
                       endless = defaults(DataKind::endless, "resnet"),
                       many = defaults(DataKind::many_dimensions, "resnet");
  EXPECT_EQ(few, TrainingOptions().to_json());
  const auto expect = [&](const char* key, const nlohmann::json& of_few, const nlohmann::json& of_endless,
                          const nlohmann::json& of_many) {
    EXPECT_EQ(few[key], of_few) << key;
    EXPECT_EQ(endless[key], of_endless) << key;
    EXPECT_EQ(many[key], of_many) << key;
  };
  expect("bank", 16384, 65536, 16384);
  expect("axes", 0, 0, 64);
  expect("source", "gaussian", "gaussian", "gaussian-fit");
  expect("batch", 256, 256, 256);
  EXPECT_EQ(kind_of(Dataset::gaussian(16)), DataKind::endless);
  EXPECT_EQ(kind_of(Dataset::gaussian(17)), DataKind::many_dimensions);
  EXPECT_EQ(kind_of(Dataset::points("p", {1, 2}, 2)), DataKind::few_dimensions);
  EXPECT_EQ(kind_of(Dataset::images("i", {1, 2, 3, 4}, {1, 2, 2})), DataKind::many_dimensions);
}

TEST(Options, ACouplingHasItsOwn) {
  const auto keys = [](const char* name) {
    std::set<std::string> all;
    for (const auto& [key, value] :
         own_options(find_by_name(couplings(), name, "coupling"), TrainingOptions().of_couplings))
      all.insert(key);
    return all;
  };
  using Keys = std::set<std::string>;
  EXPECT_EQ(keys("independent"), Keys());
  EXPECT_EQ(keys("minibatch"), (Keys{"pairs", "solver"}));
  EXPECT_EQ(keys("global"), (Keys{"bank", "pairs", "solver"}));
  EXPECT_EQ(keys("online"), (Keys{"bank", "caches", "pairs", "solver"}));
  EXPECT_EQ(keys("semidiscrete"), (Keys{"axes", "bank"}));
  const Dataset data = Dataset::points("p", {1, 2}, 2);
  for (const CouplingEntry& coupling : couplings())
    if (coupling.options) {
      EXPECT_NE(error_of([&] {
                  coupling.make(Source::gaussian(2), data, {.batch = 1, .own = {{"size", 2}}});
                }).find("unknown key \"size\""),
                std::string::npos)
          << coupling.name;
    }
  TrainingOptions options;
  options.read({{"coupling", "semidiscrete"}, {"axes", 5}, {"caches", 3}});
  EXPECT_EQ(options.coupling_options().own, (OptionValues{{"axes", 5}, {"bank", 16384}}));
}

// A key that several couplings take is one flag.
TEST(Options, CouplingsAgreeOnWhatTheyShare) {
  for (const CouplingEntry& coupling : couplings())
    for (const OptionEntry& own : coupling.options ? coupling.options() : std::vector<OptionEntry>()) {
      const OptionEntry& shared = entry_of(training_entries(), own.key, "training");
      EXPECT_EQ(own.standard, shared.standard) << own.key;
      EXPECT_EQ(own.range.least, shared.range.least) << own.key;
      EXPECT_EQ(own.range.most, shared.range.most) << own.key;
      EXPECT_EQ(own.words.size(), shared.words.size()) << own.key;
      EXPECT_EQ(own.endless, shared.endless) << own.key;
      EXPECT_EQ(own.many, shared.many) << own.key;
      EXPECT_NE(shared.help.find(coupling.name), std::string::npos) << shared.help;
      EXPECT_NE(shared.help.find(own.help), std::string::npos) << shared.help;
    }
}

TEST(Options, HelpSaysDefaultRangeAndWords) {
  for (const OptionEntry& entry : training_entries()) {
    const std::string help = help_of(entry);
    EXPECT_EQ(help.rfind(entry.help, 0), 0u) << help;
    for (const OptionWord& word : entry.words) {
      EXPECT_NE(help.find(word.name), std::string::npos) << help;
      EXPECT_NE(help.find(word.about), std::string::npos) << help;
    }
  }
  const auto help = [](const char* key) { return help_of(entry_of(training_entries(), key, "training")); };
  EXPECT_NE(help("caches").find("(1; 1 to 64)"), std::string::npos) << help("caches");
  EXPECT_NE(help("axes").find("(0; images and above 16 dimensions 64; 0 to"), std::string::npos) << help("axes");
  EXPECT_NE(help("bank").find("(16384; of endless points 65536; 1 to"), std::string::npos) << help("bank");
  EXPECT_NE(help("lr").find("; gru 0.01;"), std::string::npos) << help("lr");
  EXPECT_NE(help("precision").find(": float32, tf32, bfloat16 (float32)"), std::string::npos) << help("precision");
  const std::string flow = help("flow");
  for (const FlowFamily& family : flow_families())
    for (const OptionEntry& entry : family.options()) {
      if (entry.key == "dimension") continue;
      const std::size_t line = flow.find(std::string("\n  ") + family.name + ": "), end = flow.find('\n', line + 1);
      const nlohmann::json standard = json_of(entry.standard);
      const std::string value = standard.is_string() ? standard.get<std::string>() : standard.dump();
      EXPECT_NE(flow.substr(line, end - line).find(entry.key + "=" + value), std::string::npos)
          << entry.key << "=" << value << " of " << family.name << " in\n"
          << flow;
      const std::size_t about = flow.find("\n    " + entry.key + ": ");
      EXPECT_NE(flow.substr(about, flow.find('\n', about + 1) - about).find(entry.help), std::string::npos) << flow;
    }
  EXPECT_NE(help("from").find("unless told"), std::string::npos) << help("from");
}

// Whether the keys of a flow of images go together shows once there are images.
TEST(TrainingOptions, KeysOfImagesWaitForThem) {
  TrainingOptions options;
  options.read({{"flow", {{"family", "unet"}, {"attention", "16"}, {"patch", 1}}}});
  EXPECT_EQ(options.flow["attention"], "16");
  EXPECT_THROW(options.read({{"flow", {{"family", "unet"}, {"atention", "16"}}}}), InputError);
  EXPECT_THROW(options.read({{"flow", {{"family", "unet"}, {"patch", 0}}}}), InputError);
}

TEST(TrainingOptions, ReadWhatPrecisionsWereCalled) {
  for (const auto& [word, precision] : {std::pair{"bf16", Precision::bfloat16},
                                        {"fp32", Precision::float32},
                                        {"bfloat16", Precision::bfloat16},
                                        {"tf32", Precision::tf32}}) {
    TrainingOptions options;
    options.precision = Precision::tf32;
    options.read({{"precision", word}});
    EXPECT_EQ(options.precision, precision) << word;
    EXPECT_EQ(options.to_json().at("precision"), name_of(precision));
  }
  EXPECT_THROW(TrainingOptions().read({{"precision", "fp16"}}), InputError);
}

}  // namespace
}  // namespace otnfm
