// otnfm couple: pairs two point clouds, or the rows and columns of a cost matrix, and proves how good the pairing is.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "engine/io/lap.h"
#include "engine/io/npy.h"
#include "kernels/error.h"
#include "ot/exact.h"
#include "tools/command.h"

namespace otnfm {
namespace {

struct CoupleFlags {
  CommonFlags common;
  std::string source, target, cost, lap, solver = "exact", out;
};

/// A problem with the memory that its views point into.
struct OwnedProblem {
  NpyArray first, second;
  std::optional<LapProblem> lap;
  Problem problem;
};

AnyMatrix matrix_of(const NpyArray& array, const std::string& path) {
  if (array.shape.size() != 2)
    throw InputError(path + ": has rank " + std::to_string(array.shape.size()) + ", wanted a matrix");
  const std::int64_t rows = array.shape[0], columns = array.shape[1];
  switch (array.dtype) {
    case DType::float32:
      return View<const float>(reinterpret_cast<const float*>(array.bytes.data()), {rows, columns});
    case DType::float64:
      return View<const double>(reinterpret_cast<const double*>(array.bytes.data()), {rows, columns});
    case DType::int32:
      return View<const std::int32_t>(reinterpret_cast<const std::int32_t*>(array.bytes.data()), {rows, columns});
    case DType::int64:
      return View<const std::int64_t>(reinterpret_cast<const std::int64_t*>(array.bytes.data()), {rows, columns});
    default:
      throw InputError(path + ": has element type " + std::string(name_of(array.dtype)) +
                       ", wanted float32, float64, int32 or int64");
  }
}

void open(const CoupleFlags& flags, OwnedProblem& owned) {
  const bool points = !flags.source.empty() || !flags.target.empty();
  if (points + !flags.cost.empty() + !flags.lap.empty() != 1 ||
      (points && (flags.source.empty() || flags.target.empty())))
    throw InputError("name one problem: --source and --target, or --cost, or --lap");
  if (points) {
    owned.first = read_npy(flags.source);
    owned.second = read_npy(flags.target);
    owned.problem = Problem::from_points(matrix_of(owned.first, flags.source), matrix_of(owned.second, flags.target));
  } else if (!flags.cost.empty()) {
    owned.first = read_npy(flags.cost);
    owned.problem = Problem::from_matrix(matrix_of(owned.first, flags.cost));
  } else {
    owned.lap = read_lap(flags.lap);
    owned.problem = Problem::from_matrix(owned.lap->view());
  }
}

void couple(const CoupleFlags& flags) {
  OwnedProblem owned;
  open(flags, owned);
  const Problem& problem = owned.problem;
  const Assignment result = solve_exact(problem);
  const Certificate& proof = result.certificate;
  if (!flags.out.empty())
    write_npy(flags.out,
              View<const std::int64_t>(result.sigma.data(), {static_cast<std::int64_t>(result.sigma.size())}));
  nlohmann::json json = {{"n", problem.n()},
                         {"m", problem.m()},
                         {"d", problem.has_matrix ? nlohmann::json(nullptr) : nlohmann::json(problem.dimension())},
                         {"solver", flags.solver},
                         {"regime", result.algorithm},
                         {"primal_cost", proof.primal_cost},
                         {"dual_bound", proof.dual_bound},
                         {"gap", proof.gap},
                         {"is_permutation", proof.is_permutation},
                         {"marginal_error", proof.is_permutation ? nlohmann::json(0.0) : nlohmann::json(nullptr)},
                         {"iterations", result.iterations},
                         {"seconds", result.seconds},
                         {"device", "cpu"},
                         {"status", name_of(result.status)}};
  if (owned.lap) json["total_cost"] = proof.primal_cost * static_cast<double>(std::min(problem.n(), problem.m()));
  if (flags.common.json) {
    fmt::print("{}\n", json.dump());
    return;
  }
  fmt::print("{}, by {} ({}) in {:.3g} s: {}\n", describe(problem), flags.solver, result.algorithm, result.seconds,
             name_of(result.status));
  fmt::print("mean cost {:.9g}, proven lower bound {:.9g}, gap {:.3g}\n", proof.primal_cost, proof.dual_bound,
             proof.gap);
  if (owned.lap) fmt::print("total cost {:.9g}\n", json["total_cost"].get<double>());
  if (!flags.out.empty()) fmt::print("pairs: {}\n", flags.out);
}

}  // namespace

void add_couple(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "couple", "Pair two point clouds by optimal transport, with a proof of how good the pairing is");
  auto flags = std::make_shared<CoupleFlags>();
  command->add_option("--source", flags->source, "points A.npy [n, d]");
  command->add_option("--target", flags->target, "points B.npy [m, d]; the cost is squared Euclidean");
  command->add_option("--cost", flags->cost, "cost matrix C.npy [n, m]");
  command->add_option("--lap", flags->lap, "cost matrix as OR-Library text");
  command->add_option("--solver", flags->solver, "exact")->check(CLI::IsMember({"exact"}))->capture_default_str();
  command->add_option("--out", flags->out, "SIGMA.npy [n] int64: the column of each row, -1 where it is unmatched");
  flags->common.add_json(*command);
  command->callback([flags] { couple(*flags); });
}

}  // namespace otnfm
