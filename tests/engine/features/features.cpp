// Features: trained on labels, the same from a seed and from a file, and what eval makes of them.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "engine/evaluate/feature_evaluation.h"
#include "engine/features/feature_network.h"
#include "engine/generate/model.h"
#include "engine/train/feature_training.h"
#include "layers/flows/flow.h"

namespace otnfm {
namespace {

namespace fs = std::filesystem;

/// Pictures of 8 x 8 whose class is the side that is bright, with noise on them.
struct Pictures {
  std::vector<std::uint8_t> pixels, labels;
};
Pictures pictures(std::int64_t n, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<int> noise(0, 120), side(0, 1);
  Pictures made;
  for (std::int64_t i = 0; i < n; ++i) {
    const int bright = side(random);
    made.labels.push_back(static_cast<std::uint8_t>(bright));
    for (int p = 0; p < 64; ++p) {
      const bool lit = (p % 8 < 4) == (bright == 0);
      made.pixels.push_back(static_cast<std::uint8_t>(noise(random) + (lit ? 100 : 0)));
    }
  }
  return made;
}

Dataset labelled(std::int64_t n) {
  Pictures train = pictures(n, 1), test = pictures(n / 2, 2);
  Dataset data = Dataset::images_of_bytes("pictures", std::move(train.pixels), {8, 8, 1});
  data.set_test_images(std::move(test.pixels));
  data.set_labels(std::move(train.labels), std::move(test.labels));
  return data;
}

const FeatureTrainingOptions kShort{.steps = 40, .batch = 32, .learning_rate = 2e-3, .seed = 5};

std::vector<float> first_features(const FeatureNetwork& network, const Dataset& data, std::int64_t n) {
  std::vector<float> rows(static_cast<std::size_t>(n * data.dimension()));
  const View<float> view(rows.data(), {n, data.dimension()});
  data.copy_rows(0, view);
  return FeatureExtractor(network)(View<const float>(view));
}

TEST(Features, AreLearntFromLabelsAndKeptInAFile) {
  const Dataset data = labelled(300);
  const TrainedFeatures trained = train_features(data, kShort, {}), again = train_features(data, kShort, {});
  EXPECT_GT(trained.origin.accuracy, 0.95);
  EXPECT_EQ(trained.network->options().classes, 2);
  const std::vector<float> features = first_features(*trained.network, data, 130);
  EXPECT_EQ(features, first_features(*again.network, data, 130));
  // Whatever they stand beside.
  const std::vector<float> fewer = first_features(*trained.network, data, 3);
  EXPECT_TRUE(std::equal(fewer.begin(), fewer.end(), features.begin()));

  const fs::path path = fs::temp_directory_path() / ("otnfm-features-" + std::to_string(std::random_device{}()));
  save_features(path, *trained.network, trained.origin);
  const LoadedFeatures loaded = load_features(path);
  EXPECT_EQ(first_features(*loaded.network, data, 130), features);
  EXPECT_EQ(loaded.origin.data, "pictures");
  EXPECT_EQ(loaded.origin.seed, 5U);
  EXPECT_EQ(loaded.origin.accuracy, trained.origin.accuracy);
  // Every shorter file is refused, as is one with other bytes in its header.
  std::ifstream in(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  for (const std::size_t length : {std::size_t{0}, std::size_t{9}, bytes.size() / 2, bytes.size() - 1}) {
    std::ofstream(path, std::ios::binary) << bytes.substr(0, length);
    EXPECT_THROW(load_features(path), InputError) << length;
  }
  for (const auto& [from, to] : {std::pair{"otnfm_features", "otnfm_footures"},
                                 {"classifier", "clossifier"},
                                 {"\\\"width\\\":32", "\\\"width\\\":33"},
                                 {"\\\"classes\\\":2", "\\\"classes\\\":1"}}) {
    std::string changed = bytes;
    ASSERT_NE(changed.find(from), std::string::npos) << from;
    changed.replace(changed.find(from), std::string(from).size(), to);
    std::ofstream(path, std::ios::binary) << changed;
    EXPECT_THROW(load_features(path), InputError) << to;
  }
  fs::remove(path);
}

TEST(Features, NeedImagesWithLabels) {
  EXPECT_THROW(train_features(Dataset::gaussian(3), kShort, {}), InputError);
  Pictures some = pictures(9, 3);
  Dataset unlabelled = Dataset::images_of_bytes("pictures", std::vector<std::uint8_t>(some.pixels), {8, 8, 1});
  EXPECT_THROW(train_features(unlabelled, kShort, {}), InputError);
  some.labels.pop_back();
  EXPECT_THROW(unlabelled.set_labels(some.labels, {}), InputError);
  EXPECT_THROW(FeatureExtractor(FeatureNetwork({.image = {0, 8, 1}})), InputError);
}

// Samples that are the data's Gaussian are as far away as that; other data are near.
TEST(Features, EvalSaysWhatAModelIsWorth) {
  const Dataset data = labelled(400);
  const TrainedFeatures trained = train_features(data, kShort, {});
  const fs::path path = fs::temp_directory_path() / ("otnfm-features-" + std::to_string(std::random_device{}()));
  save_features(path, *trained.network, trained.origin);
  const LoadedFeatures loaded = load_features(path);
  fs::remove(path);
  Model model{.flow = make_flow({{"family", "resnet"}, {"dimension", 64}, {"blocks", 1}, {"width", 8}, {"depth", 1}}),
              .source = open_source(NamedSource("gaussian-fit"), data),
              .configuration = nlohmann::json::object()};
  model.flow->parameters().allocate(Device::cpu, 1, false);  // the identity: its last layer starts at 0
  const Generator generator(std::move(model), Device::cpu);
  const nlohmann::json result = evaluate_features(generator, data, loaded, {.samples = 150, .seed = 3});
  const auto number = [&](const char* row, const char* key) { return result[row][key].get<double>(); };
  EXPECT_EQ(result["n_data"], 150);
  EXPECT_EQ(result["nfe"], 1);
  EXPECT_LT(number("floor", "frechet"), 0.5 * number("gaussian", "frechet"));
  // 150 rows scatter: of six seeds the two were 0.5 to 1.2 times each other.
  EXPECT_LT(number("floor", "frechet"), 0.5 * number("samples", "frechet"));
  EXPECT_LT(number("samples", "frechet"), 4 * number("gaussian", "frechet"));
  EXPECT_GT(number("gaussian", "kid"), number("floor", "kid"));
  EXPECT_GT(number("gaussian", "kid_std"), 0);
  EXPECT_GT(number("floor", "precision"), 0.5);
  EXPECT_NEAR(result["collapse_rho"].get<double>(), 1, 0.2);
  EXPECT_GT(result["nearest_train_ratio"].get<double>(), 0.5);
}

}  // namespace
}  // namespace otnfm
