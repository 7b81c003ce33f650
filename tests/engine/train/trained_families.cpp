// What holds of every family by its formulas must hold of its trained models: there and back again, the identity at
// t = 0, residuals that contract, and the log-determinant, here against a Jacobian in double. Each family is trained
// for a few hundred steps; OTNFM_MODELS="A/model.safetensors B/model.safetensors ..." looks at those models instead.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/generate/model_file.h"
#include "engine/train/training_run.h"
#include "layers/maps/inverse.h"
#include "layers/maps/log_determinant.h"
#include "tests/layers/flows/flow_in_double.h"
#include "tests/layers/flows/small_flows.h"

namespace otnfm::test {
namespace {

namespace fs = std::filesystem;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::int64_t kSteps = 20, kPairs = 500, kPoints = 100;
#else
constexpr std::int64_t kSteps = 400, kPairs = 10000, kPoints = 1000;
#endif

struct Silent : RunListener {
  void note(const std::string&) override {}
  void logged(const StepReport&, std::int64_t, const nlohmann::json&) override {}
};

/// Rows x [n, 2], all at time t.
struct Rows {
  std::vector<float> values, times;
  Rows(std::int64_t n, float t) : values(static_cast<std::size_t>(2 * n)), times(static_cast<std::size_t>(n), t) {}
  std::int64_t n() const { return static_cast<std::int64_t>(times.size()); }
  View<float> x() { return {values.data(), {n(), 2}}; }
  View<float> t() { return {times.data(), {n(), 1}}; }
  double distance(const Rows& other, std::int64_t i, std::int64_t j) const {
    const auto a = static_cast<std::size_t>(2 * i), b = static_cast<std::size_t>(2 * j);
    return std::hypot(static_cast<double>(values[a]) - other.values[b],
                      static_cast<double>(values[a + 1]) - other.values[b + 1]);
  }
};

/// One block by itself, as a flow.
class OneBlock : public Flow {
 public:
  OneBlock(Flow& flow, std::int64_t k) : flow_(flow), k_(k) {}
  Tensor forward_block(Tape& tape, std::int64_t, Tensor t, Tensor x) override {
    return flow_.forward_block(tape, k_, t, x);
  }
  std::int64_t block_count() const override { return 1; }
  std::int64_t dimension() const override { return flow_.dimension(); }
  nlohmann::json configuration() const override { return flow_.configuration(); }

 private:
  Flow& flow_;
  std::int64_t k_;
};

/// A relative error over many rows: ||got - want|| / ||want||, and the worst row's.
struct Error {
  double square = 0, size = 0, worst = 0;
  double norm() const { return size > 0 ? std::sqrt(square / size) : std::sqrt(square); }
};

struct Findings {
  Error round_trip, log_det;
  double pairs = 0, jacobian = 0;  // Lipschitz constants
  std::int64_t skipped = 0;        // points too near to a kink for float32 to know its side
};

void add_round_trip(Rows& x, Rows& back, Error& error) {
  for (std::size_t i = 0; i < x.values.size(); ++i) {
    const double want = x.values[i], difference = back.values[i] - want;
    error.square += difference * difference;
    error.size += want * want;
  }
  error.worst = std::max(error.worst, relative_difference(back.x(), x.x()));
}

/// The Lipschitz constant of block k's residual at t = 1: by pairs, far and near, and by its Jacobian. The points are
/// noise that has come as far as block k.
void measure_residual(Flow& flow, std::int64_t k, Rows& x, std::mt19937_64& random, Findings& found) {
  Rows others(x.n(), 1), y(x.n(), 1), other_images(x.n(), 1);
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> exponent(-1.5, 1);
  for (std::size_t i = 0; i < others.values.size(); i += 2) {
    const double size = std::pow(10, exponent(random));
    for (std::size_t j = i; j < i + 2; ++j) others.values[j] = x.values[j] + static_cast<float>(size * normal(random));
  }
  OneBlock block(flow, k);
  FlowMap map(block, Device::cpu);
  map(x.t(), x.x(), y.x());
  map(others.t(), others.x(), other_images.x());
  Rows residual = y, other_residual = other_images;
  for (std::size_t i = 0; i < x.values.size(); ++i) {
    residual.values[i] -= x.values[i];
    other_residual.values[i] -= others.values[i];
  }
  for (std::int64_t i = 0; i < x.n(); ++i)
    if (x.distance(others, i, i) > 0.01)  // rounding is 1e-4 of that
      found.pairs = std::max(found.pairs, residual.distance(other_residual, i, i) / x.distance(others, i, i));
  std::vector<float> matrices(static_cast<std::size_t>(4 * x.n()));
  Jacobian(flow, Device::cpu, k)(x.t(), x.x(), y.x(), {matrices.data(), {x.n(), 2, 2}});
  for (std::size_t i = 0; i < matrices.size(); i += 4) {
    Eigen::Matrix2d J;
    J << matrices[i] - 1.0, matrices[i + 1], matrices[i + 2], matrices[i + 3] - 1.0;
    found.jacobian = std::max(found.jacobian, J.jacobiSvd().singularValues()[0]);
  }
  x.values = y.values;
}

void measure_log_det(Flow& flow, Rows& x, Findings& found) {
  const LogDeterminants got = LogDeterminant(flow, Device::cpu)(x.t(), x.x());
  FlowInDouble reference(flow);
  for (std::int64_t i = 0; i < x.n(); ++i) {
    Eigen::Vector2d y;
    Eigen::Matrix2d J;
    reference(x.times[0], {x.x()(i, 0), x.x()(i, 1)}, y, J);
    const double want = std::log(std::abs(J.determinant())), value = got.values[static_cast<std::size_t>(i)];
    if (reference.nearest_kink < 1e-5) {
      ++found.skipped;
      continue;
    }
    found.log_det.square += (value - want) * (value - want);
    found.log_det.size += want * want;
    found.log_det.worst = std::max(found.log_det.worst, std::abs(value - want) / std::max(1.0, std::abs(want)));
  }
}

void check(const fs::path& file, std::mt19937_64& random) {
  SCOPED_TRACE(file.string());
  const Model model = load_model(file, Device::cpu);
  Flow& flow = *model.flow;
  ASSERT_EQ(flow.dimension(), 2);
  Findings found;
  const auto noise = [&](std::int64_t n, float t) {
    Rows rows(n, t);
    model.source.draw({.seed = random() >> 1, .stream = 1}, rows.x());
    return rows;
  };
  FlowMap map(flow, Device::cpu);
  for (const float t : {0.0f, 0.1f, 0.5f, 1.0f}) {
    Rows x = noise(kPoints, t), y = x, back = x;
    map(x.t(), x.x(), y.x());
    if (t == 0) {
      EXPECT_EQ(y.values, x.values);
    }
    if (flow.inversion() == Inversion::none) continue;
    FlowInverse(flow, Device::cpu)(y.t(), y.x(), back.x());
    add_round_trip(x, back, found.round_trip);
    measure_log_det(flow, x, found);
  }
  if (flow.inversion() == Inversion::fixed_point) {
    Rows x = noise(kPairs, 1);
    for (std::int64_t k = 0; k < flow.block_count(); ++k) measure_residual(flow, k, x, random, found);
    EXPECT_LT(found.pairs, 1);
    EXPECT_LT(found.jacobian, 1);
  }
  EXPECT_LE(found.round_trip.norm(), 1e-5);
  EXPECT_LE(found.log_det.norm(), 1e-4);
  EXPECT_LE(found.log_det.worst, 1e-4);
  EXPECT_LE(found.skipped, kPoints);
  if (std::getenv("OTNFM_VERBOSE") || std::getenv("OTNFM_MODELS"))
    std::printf(
        "%s: round trip %.1e (worst row %.1e), log-det %.1e (worst %.1e, %lld of %lld points left out), "
        "Lipschitz constant by pairs %.4f, by Jacobian %.4f\n",
        file.c_str(), found.round_trip.norm(), found.round_trip.worst, found.log_det.norm(), found.log_det.worst,
        static_cast<long long>(found.skipped), static_cast<long long>(4 * kPoints), found.pairs, found.jacobian);
}

TEST(TrainedFamilies, KeepWhatTheirFormulasPromise) {
  std::mt19937_64 random(std::random_device{}());
  if (const char* models = std::getenv("OTNFM_MODELS")) {
    std::istringstream files(models);
    for (std::string file; files >> file;) check(file, random);
    return;
  }
  std::string folder = (fs::temp_directory_path() / "otnfm-test-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  for (const FlowFamily& family : flow_families()) {
    if (family.image_preset != nullptr) continue;  // bench/peers/unet.py --check has the formula of the U-Net
    const Dataset data = open_dataset("8gaussians");
    TrainingOptions options = default_options(data, family.name);
    options.coupling = "global";
    options.of_couplings["bank"] = std::int64_t{1024};
    options.steps = kSteps;
    options.seed = random() >> 1;
    Silent silent;
    run_training({.options = options, .data = data}, {.out = fs::path(folder) / family.name}, silent);
    check(fs::path(folder) / family.name / "model.safetensors", random);
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace otnfm::test
