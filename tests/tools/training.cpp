// What `train` takes and says, and what eval and invert make of it: any scale, limits that hold, no number that nobody
// computed.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "tests/tools/program_fixture.h"

namespace otnfm::test {
namespace {

// Seconds, where others use the machine and its disk; without the limit it would be minutes.
constexpr double kSlack = 30;

class TrainProgram : public ProgramTest {
 protected:
  std::string small(const std::string& more) const {
    std::ofstream(path("small.json")) << R"({"flow": {"blocks": 1, "width": 8, "depth": 1}})";
    return "train --device cpu --coupling minibatch --batch 32 --config " + path("small.json") + " " + more;
  }

  /// n points of two columns, the first of deviation `scale` about `offset`.
  std::string table(const std::string& name, std::int64_t n, float scale = 1, float offset = 0) const {
    std::mt19937 random(3);
    std::vector<float> values;
    for (std::int64_t i = 0; i < 2 * n; ++i) {
      const float value = static_cast<float>(random() % 2048) / 512 - 2;
      values.push_back(i % 2 == 0 ? offset + scale * value : value);
    }
    return write_npy(name, {n, 2}, values);
  }

  nlohmann::json json_of(const std::string& arguments, int code = 0) const {
    const Outcome outcome = run(arguments + " --json");
    EXPECT_EQ(outcome.code, code) << arguments << "\n" << outcome.err;
    const nlohmann::json result = nlohmann::json::parse(outcome.out, nullptr, /*allow_exceptions=*/false);
    EXPECT_TRUE(result.is_object()) << outcome.out;
    return result.is_object() ? result : nlohmann::json::object();
  }

  /// Of a coupling flow: its scales and shifts do not look at the point, and are those of a bias of -1.
  static void make_map_contract(const std::string& model) {
    std::string bytes = read(model);
    std::uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, bytes.data(), sizeof(header_bytes));
    const std::size_t begin = sizeof(header_bytes) + header_bytes;
    const nlohmann::json header = nlohmann::json::parse(bytes.substr(sizeof(header_bytes), header_bytes));
    for (const auto& [name, tensor] : header.items()) {
      if (name == "__metadata__") continue;
      const bool is_bias = name.ends_with("conditioner.1.bias"), is_time = name.find(".phi_") != std::string::npos;
      const float value = is_bias ? -1.0f : is_time ? 1.0f : 0.0f;
      for (std::size_t at = tensor["data_offsets"][0]; at < tensor["data_offsets"][1]; at += sizeof(float))
        std::memcpy(&bytes[begin + at], &value, sizeof(value));
    }
    std::ofstream(model, std::ios::binary | std::ios::trunc) << bytes;
  }

  std::vector<float> samples(const std::string& folder, int n = 50) const {
    EXPECT_EQ(run("sample " + path(folder + "/model.safetensors") + " -n " + std::to_string(n) + " --out " +
                  path("samples.npy"))
                  .code,
              0);
    const std::string bytes = read(path("samples.npy"));
    const std::size_t header = 10 + static_cast<unsigned char>(bytes[8]) + 256 * static_cast<unsigned char>(bytes[9]);
    std::vector<float> values((bytes.size() - header) / sizeof(float));
    std::memcpy(values.data(), bytes.data() + header, values.size() * sizeof(float));
    return values;
  }
};

TEST_F(TrainProgram, LearnsDataOfAnyScaleAlike) {
  const std::string plain = table("plain.npy", 200), moved = table("moved.npy", 200, 64, 8192);
  const Outcome outcome = run(small("--steps 80 --data " + moved + " --out " + path("moved")));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("standardised"), std::string::npos) << outcome.err;
  ASSERT_EQ(run(small("--steps 80 --data " + plain + " --out " + path("plain"))).code, 0);
  const std::vector<float> a = samples("plain"), b = samples("moved");
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(i % 2 == 0 ? (b[i] - 8192) / 64 : b[i], a[i], 1e-2) << i;
  const nlohmann::json of_plain = json_of("eval " + path("plain/model.safetensors") + " -n 100 --repeats 2"),
                       of_moved = json_of("eval " + path("moved/model.safetensors") + " -n 100 --repeats 2");
  for (const char* key : {"w2_standardised_ratio", "collapse_rho"})
    EXPECT_NEAR(of_plain[key].get<double>(), of_moved[key].get<double>(), 0.02) << key;
  for (const char* key : {"frechet", "frechet_floor", "precision", "precision_floor", "recall", "recall_floor"})
    EXPECT_NEAR(of_plain[key].get<double>(), of_moved[key].get<double>(), 0.03) << key;
  EXPECT_GT(of_moved["w2"].get<double>(), 10 * of_plain["w2"].get<double>());
  // As they are only where that is asked for.
  ASSERT_EQ(run(small("--steps 5 --standardise none --data " + moved + " --out " + path("none"))).code, 0);
  EXPECT_LT(samples("none")[0], 4000);
  expect_refused(small("--standardise rows --data " + moved + " --out " + path("x")), "rows");
}

TEST_F(TrainProgram, NamesAnEntryThatNoMapLearns) {
  std::vector<float> values(400, 0.0f);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 7919 % 101);
  values[2 * 31 + 1] = -3.4e38f;
  const std::string file = write_npy("no-data.npy", {200, 2}, values);
  expect_refused(small("--data " + file + " --out " + path("x")), "row 31, column 1");
}

TEST_F(TrainProgram, EndsInTimeWhateverItDoes) {
  const auto began = std::chrono::steady_clock::now();
  const auto spent = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); };
  // The assignment would take minutes.
  const Outcome outcome =
      run("train --device cpu --data 8gaussians --bank 200000 --max-seconds 1 --out " + path("prepared"));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("--max-seconds"), std::string::npos) << outcome.err;
  EXPECT_FALSE(fs::exists(path("prepared/model.safetensors")));
  EXPECT_LT(spent(), 1 + kSlack);
  const nlohmann::json result = json_of(small("--data moons --steps 100000000 --max-seconds 5 --out " + path("steps")));
  EXPECT_EQ(result["finished"], false);
  EXPECT_EQ(result["interrupted"], false);
  EXPECT_GT(result["steps_done"], 0);
  EXPECT_LT(result["seconds"].get<double>(), 5 + kSlack);
  EXPECT_LE(result["training_seconds"].get<double>() + result["prepare_seconds"].get<double>(),
            result["seconds"].get<double>());
  EXPECT_LE(result["pairing_seconds"].get<double>(), result["training_seconds"].get<double>());
  // Pairs of which each batch takes long. Whether a step is done in time is the machine's; a run without one has no
  // model and fails.
  for (const std::string solver : {"exact", "sinkhorn-argmax"}) {
    const std::string out = path("batches-" + solver);
    const Outcome batches =
        run("train --device cpu --data moons --coupling minibatch --batch 8000 --max-seconds 1 --solver " + solver +
            " --out " + out);
    EXPECT_EQ(batches.code, fs::exists(fs::path(out) / "model.safetensors") ? 0 : 1) << batches.err;
  }
  EXPECT_LT(spent(), 5 + 1 + 1 + 1 + 4 * kSlack);
}

TEST_F(TrainProgram, ARunThatGoesOnKeepsItsStepWhereTimeIsOutAtOnce) {
  ASSERT_EQ(run(small("--data moons --steps 10 --out " + path("run"))).code, 0);
  const std::string state = read(path("run/state.safetensors"));
  const std::string resume = "train --device cpu --resume --steps 20 --out " + path("run");
  const Outcome late = run(resume + " --max-seconds 1e-6 --json");
  EXPECT_EQ(late.code, 0) << late.err;
  EXPECT_NE(late.err.find("stays at step 10"), std::string::npos) << late.err;
  const nlohmann::json result = nlohmann::json::parse(late.out);
  EXPECT_EQ(result["steps_done"], 10);
  EXPECT_EQ(result["finished"], false);
  EXPECT_TRUE(read(path("run/state.safetensors")) == state);
  EXPECT_EQ(json_of(resume)["steps_done"], 20);
  // One that has not begun has nothing.
  EXPECT_EQ(run(small("--data moons --steps 10 --max-seconds 1e-6 --out " + path("none"))).code, 1);
  EXPECT_FALSE(fs::exists(path("none/model.safetensors")));
}

TEST_F(TrainProgram, AnotherSourceThanTheModelsIsItsOwn) {
  const std::string data = table("data.npy", 200, 5, 100), source = table("source.npy", 150, 64, 8192);
  ASSERT_EQ(run(small("--steps 5 --data " + data + " --source " + source + " --out " + path("run"))).code, 0);
  const std::string from = "train --device cpu --from " + path("run/model.safetensors") + " --steps 0 --out ";
  ASSERT_EQ(run(from + path("same")).code, 0);
  EXPECT_EQ(samples("same"), samples("run"));
  // Taken as the old source's, N(0, I) would lie 8192 / 64 deviations from where the map is at home.
  for (const char* other : {"gaussian", "gaussian-fit"}) {
    ASSERT_EQ(run(from + path(other) + " --source " + other).code, 0);
    const std::vector<float> values = samples(other);
    for (std::size_t i = 0; i < values.size(); i += 2) ASSERT_NEAR(values[i], 100, 80) << other << " " << i;
  }
}

TEST_F(TrainProgram, RowsThatAModelHasNotSeenStayUnseen) {
  const std::string data = table("points.npy", 100), model = path("held/model.safetensors");
  ASSERT_EQ(run(small("--steps 5 --seed 3 --hold-out 0.3 --data " + data + " --out " + path("held"))).code, 0);
  const std::string from = "train --device cpu --steps 2 --from " + model + " --coupling minibatch --batch 16 --out ";
  ASSERT_EQ(run(from + path("more")).code, 0);
  const nlohmann::json before = json_of("eval " + model + " --repeats 1 -n 1000"),
                       after = json_of("eval " + path("more/model.safetensors") + " --repeats 1 -n 1000");
  EXPECT_EQ(after["compared_with"], "held-out rows");
  EXPECT_EQ(after["w2_floor"], before["w2_floor"]) << "of other rows";
  expect_refused(from + path("x") + " --seed 4", "seed 4");
  // Unless that is asked for, or the data are others.
  ASSERT_EQ(run(from + path("all") + " --hold-out 0").code, 0);
  EXPECT_EQ(json_of("eval " + path("all/model.safetensors") + " --repeats 1 -n 10")["compared_with"], "training rows");
  EXPECT_EQ(run(from + path("others") + " --data " + table("others.npy", 60, 2)).code, 0);
}

// Noise is this data, which a map that has learnt nothing leaves as it is; of independent pairs it learns the mean.
TEST_F(TrainProgram, TellsDataFromACollapseByFrechetPrecisionAndRecall) {
  const std::string train =
      "train --device cpu --data gaussian:2 --coupling independent --flow "
      "resnet,blocks=1,width=32,depth=1 --batch 128 ";
  ASSERT_EQ(run(train + "--steps 0 --out " + path("data")).code, 0);
  ASSERT_EQ(run(train + "--steps 400 --out " + path("mean")).code, 0);
  const nlohmann::json data = json_of("eval " + path("data/model.safetensors") + " -n 1000 --repeats 2"),
                       mean = json_of("eval " + path("mean/model.safetensors") + " -n 1000 --repeats 2");
  const auto of = [](const nlohmann::json& result, const char* key) { return result[key].get<double>(); };
  for (const char* key : {"frechet_floor", "precision_floor", "recall_floor"}) EXPECT_EQ(data[key], mean[key]) << key;
  EXPECT_LT(of(data, "frechet"), 0.03);
  EXPECT_LT(of(data, "frechet_floor"), 0.03);
  EXPECT_GT(of(mean, "frechet"), 1);  // 2 - 0, of two deviations of 1 that are gone
  for (const char* key : {"precision", "recall"}) {
    EXPECT_NEAR(of(data, key), of(data, (std::string(key) + "_floor").c_str()), 0.03) << key;
    EXPECT_GT(of(data, key), 0.8) << key;
  }
  EXPECT_LT(of(mean, "recall"), 0.2);
  EXPECT_GT(of(data, "precision_std"), 0);
  const std::string said = run("eval " + path("mean/model.safetensors") + " -n 100 --repeats 2").out;
  for (const char* line : {"\nFrechet ", "\nprecision ", "\nrecall "})
    EXPECT_NE(said.find(line), std::string::npos) << said;
  // Three rows have no third neighbour.
  const nlohmann::json few = json_of("eval " + path("data/model.safetensors") + " -n 3 --repeats 2");
  for (const char* key : {"precision", "precision_std", "precision_floor", "recall", "recall_floor"})
    EXPECT_TRUE(few[key].is_null()) << key;
  EXPECT_TRUE(few["frechet"].is_number());
  EXPECT_NE(run("eval " + path("data/model.safetensors") + " -n 3").out.find("fewer than 4 rows"), std::string::npos);
  expect_refused("eval " + path("data/model.safetensors") + " -n 1", "at least 2 samples");
}

TEST_F(TrainProgram, EvaluatesAConstantColumnBesideLargeNumbers) {
  std::mt19937 random(6);
  std::vector<float> values(200, 0.0f);
  for (std::size_t i = 1; i < values.size(); i += 2)
    values[i] = 1e16f * (static_cast<float>(random() % 2048) / 512 - 2);
  ASSERT_EQ(run(small("--steps 5 --data " + write_npy("large.npy", {100, 2}, values) + " --out " + path("run"))).code,
            0);
  const nlohmann::json result = json_of("eval " + path("run/model.safetensors") + " --repeats 1 -n 40");
  EXPECT_GT(result["w2"].get<double>(), 1e14);
  EXPECT_GT(result["w2_standardised"].get<double>(), 0);
  for (const char* key : {"frechet", "frechet_floor", "precision", "recall"})
    EXPECT_TRUE(result[key].is_number()) << key;
}

TEST_F(TrainProgram, SaysNothingOfALossThatWasNotComputed) {
  const nlohmann::json result = json_of(small("--data moons --steps 0 --out " + path("none")));
  EXPECT_TRUE(result["loss"].is_null()) << result;
  EXPECT_EQ(result["steps_done"], 0);
  const Outcome outcome = run(small("--data moons --steps 0 --out " + path("text")));
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out.find("loss"), std::string::npos) << outcome.out;
}

TEST_F(TrainProgram, MeansTheSameByAKeyInBothItsOutputs) {
  const nlohmann::json result = json_of(small("--data moons --log-every 10 --steps 40 --out " + path("run")));
  std::ifstream metrics(path("run/metrics.jsonl"));
  nlohmann::json last;
  for (std::string line; std::getline(metrics, line);) last = nlohmann::json::parse(line);
  for (const char* key : {"loss", "conditional_variance", "relative_conditional_variance"})
    EXPECT_EQ(result[key], last[key]) << key;
  EXPECT_NEAR(result["conditional_variance"].get<double>() / last["target_variance"].get<double>(),
              result["relative_conditional_variance"].get<double>(), 1e-6);
  EXPECT_LT(result["coupling_seconds"].get<double>(), 1);  // a step
}

TEST_F(TrainProgram, SaysHowManyPairsThereAre) {
  const Outcome outcome = run("train --device cpu --data " + table("few.npy", 40) +
                              " --batch 8 --steps 3 --bank 1000 --out " + path("few"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("--bank 1000"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("40 pairs"), std::string::npos) << outcome.err;
}

TEST_F(TrainProgram, HoldsRowsOutForEval) {
  const std::string file = table("points.npy", 100);
  ASSERT_EQ(run(small("--steps 10 --hold-out 0.3 --data " + file + " --out " + path("held"))).code, 0);
  ASSERT_EQ(run(small("--steps 10 --data " + file + " --out " + path("all"))).code, 0);
  const nlohmann::json held = json_of("eval " + path("held/model.safetensors") + " --repeats 1 -n 1000");
  EXPECT_EQ(held["compared_with"], "held-out rows");
  EXPECT_EQ(held["n"], 15);  // two draws of 30 rows
  const nlohmann::json all = json_of("eval " + path("all/model.safetensors") + " --repeats 1 -n 1000");
  EXPECT_EQ(all["compared_with"], "training rows");
  EXPECT_EQ(all["n"], 50);
  const Outcome said = run("eval " + path("all/model.safetensors") + " --repeats 1 -n 10");
  EXPECT_NE(said.out.find("--hold-out"), std::string::npos) << said.out;
  // The file has gone elsewhere.
  fs::rename(file, path("elsewhere.npy"));
  expect_refused("eval " + path("held/model.safetensors"), "--data");
  const nlohmann::json moved =
      json_of("eval " + path("held/model.safetensors") + " --repeats 1 -n 1000 --data " + path("elsewhere.npy"));
  EXPECT_EQ(moved["compared_with"], "held-out rows");
  EXPECT_EQ(moved["w2"], held["w2"]);
  EXPECT_EQ(json_of("eval " + path("held/model.safetensors") + " --repeats 1 -n 10 --data " +
                    table("other.npy", 60, 2))["compared_with"],
            "rows of the data");
  expect_refused(small("--data moons --hold-out 0.1 --out " + path("x")), "moons");
  expect_refused(small("--data " + path("elsewhere.npy") + " --hold-out 0.001 --out " + path("x")), "0.001");
  expect_refused(small("--data " + path("elsewhere.npy") + " --hold-out 2 --out " + path("x")), "--hold-out");
}

TEST_F(TrainProgram, GoesOnWithAFinishedRun) {
  const std::string data = " --data " + table("points.npy", 100, 5, 100);
  ASSERT_EQ(run(small("--steps 40 --out " + path("run") + data)).code, 0);
  const nlohmann::json more = json_of("train --device cpu --resume --steps 60 --out " + path("run"));
  EXPECT_EQ(more["steps_done"], 60);
  EXPECT_EQ(more["finished"], true);
  expect_refused("train --device cpu --resume --steps 50 --out " + path("run"), "steps");
  // Its weights, flow and coordinates begin another.
  const std::string model = path("run/model.safetensors");
  ASSERT_EQ(run("train --device cpu --from " + model + " --steps 0 --out " + path("same")).code, 0);
  EXPECT_EQ(samples("same"), samples("run"));
  ASSERT_EQ(run("train --device cpu --from " + model + " --coupling minibatch --steps 20 --batch 32 --out " +
                path("other") + " --data " + table("near.npy", 100, 6, 101))
                .code,
            0);
  EXPECT_NE(samples("other"), samples("run"));
  ASSERT_EQ(run("train --device cpu --resume --steps 25 --out " + path("other")).code, 0);
  EXPECT_NEAR(samples("other")[0], 100, 40);
  expect_refused("train --device cpu --from " + model + " --flow resnet,blocks=2 --out " + path("x"), "blocks");
  expect_refused("train --device cpu --from " + path("none.safetensors") + " --out " + path("x"), "none.safetensors");
}

TEST_F(TrainProgram, CountsRowsThatDidNotComeBack) {
  std::ofstream(path("coupling.json")) << R"({"flow": {"family": "coupling", "blocks": 2, "width": 8, "depth": 1}})";
  ASSERT_EQ(run("train --device cpu --data gaussian:3 --coupling independent --batch 32 --steps 1 --config " +
                path("coupling.json") + " --out " + path("run"))
                .code,
            0);
  // The inverse of 3e38 is then beyond float32.
  make_map_contract(path("run/model.safetensors"));
  std::vector<float> rows(9, 0.5f);
  std::fill_n(rows.begin() + 3, 3, 3e38f);
  const std::string one = write_npy("one.npy", {1, 3}, std::span(rows).subspan(3, 3)),
                    three = write_npy("three.npy", {3, 3}, rows);
  const std::string invert = "invert " + path("run/model.safetensors") + " --out " + path("noise.npy") + " --data ";
  const nlohmann::json of_one = json_of(invert + one), of_three = json_of(invert + three);
  EXPECT_EQ(of_one["failed_rows"], 1);
  EXPECT_TRUE(of_one["round_trip_error"].is_null()) << of_one;
  EXPECT_TRUE(of_one["mean_deviation"].is_null()) << of_one;
  EXPECT_EQ(of_three["failed_rows"], 1);
  EXPECT_TRUE(of_three["round_trip_error"].is_null()) << of_three;
  EXPECT_TRUE(of_three["mean_deviation"].is_number()) << of_three;
  EXPECT_NE(run(invert + three).out.find("1 of 3 rows"), std::string::npos);
}

TEST_F(TrainProgram, DoesNotRankManyDimensionsByW2) {
  ASSERT_EQ(run("train --device cpu --data gaussian:20 --coupling independent --flow resnet,blocks=1,width=8,depth=1 "
                "--batch 16 --steps 3 --out " +
                path("many"))
                .code,
            0);
  EXPECT_EQ(json_of("eval " + path("many/model.safetensors") + " -n 40 --repeats 1")["w2_ratio_tells"], false);
  std::mt19937 random(4);
  std::vector<float> values(20 * 60);
  for (float& value : values) value = static_cast<float>(random() % 1000) / 500 - 1;
  const std::string file = write_npy("many.npy", {60, 20}, values);
  const nlohmann::json result = json_of("eval " + path("many/model.safetensors") + " -n 20 --repeats 1 --data " + file);
  EXPECT_GT(result["nearest_train_ratio"].get<double>(), 0);
  const Outcome outcome = run("eval " + path("many/model.safetensors") + " -n 20 --repeats 1 --data " + file);
  EXPECT_LT(outcome.out.find("nearest train"), outcome.out.find("W2")) << outcome.out;
  EXPECT_NE(outcome.out.find("says next to nothing"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("judge by features"), std::string::npos) << outcome.out;
  EXPECT_EQ(json_of("eval " + path("many/model.safetensors") + " -n 20 --repeats 1 --data gaussian:20")["d"], 20);
}

TEST_F(TrainProgram, ShowsItsDefaults) {
  const std::string help = run("train --help").out;
  for (const char* text : {"20000", "256", "16384", "0.002", "(global)", "(resnet)", "float32"})
    EXPECT_NE(help.find(text), std::string::npos) << text << "\n" << help;
}

}  // namespace
}  // namespace otnfm::test
