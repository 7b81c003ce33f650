#include "layers/flows/coupling_flow.h"

#include <algorithm>

#include "engine/core/table.h"
#include "kernels/device/philox.h"
#include "layers/flows/shared_keys.h"

namespace otnfm {
namespace {

struct NamedMask {
  const char* name;
  CouplingFlow::Mask value;
};
constexpr NamedMask kMasks[] = {{"alternating", CouplingFlow::Mask::alternating},
                                {"random", CouplingFlow::Mask::random}};

struct NamedTransform {
  const char* name;
  CouplingFlow::Transform value;
};
constexpr NamedTransform kTransforms[] = {{"affine", CouplingFlow::Transform::affine},
                                          {"spline", CouplingFlow::Transform::spline}};

template <class Named, std::size_t N, class Value>
const char* name_in(const Named (&table)[N], Value value) {
  for (const Named& entry : table)
    if (entry.value == value) return entry.name;
  return "unknown";
}

constexpr OptionField<CouplingFlow::Options> kCouplingFlowOwnOptions[] = {
    {.key = "mask",
     .member = OptionByWord<CouplingFlow::Options>{
         [](const CouplingFlow::Options& options) { return name_in(kMasks, options.mask); },
         [](CouplingFlow::Options& options, const std::string& word) {
           options.mask = find_by_name(std::span<const NamedMask>(kMasks), word, "mask").value;
         }},
     .help = "which columns move in turns: every other one, or half of them at random",
     .words = [] { return words_of(std::span<const NamedMask>(kMasks)); }},
    {.key = "mask_seed", .member = &CouplingFlow::Options::mask_seed, .help = "of a random mask", .range = {0, 0x1p63}},
    {.key = "transform",
     .member = OptionByWord<CouplingFlow::Options>{
         [](const CouplingFlow::Options& options) { return name_in(kTransforms, options.transform); },
         [](CouplingFlow::Options& options, const std::string& word) {
           options.transform = find_by_name(std::span<const NamedTransform>(kTransforms), word, "transform").value;
         }},
     .help = "what moves a column",
     .words = [] { return words_of(std::span<const NamedTransform>(kTransforms)); }},
    {.key = "log_scale_bound",
     .member = &CouplingFlow::Options::log_scale_bound,
     .help = "of an element's log-scale, or of the log-slope at a spline's knots",
     .range = {1e-3, 20}},
    {.key = "bins", .member = &CouplingFlow::Options::bins, .help = "of a spline", .range = {2, 64}},
    {.key = "box",
     .member = &CouplingFlow::Options::box,
     .help = "outside of +-box a spline is the identity",
     .range = {1e-3, 1e6}},
};
constexpr auto kCouplingFlowOptions = flow_table(kCouplingFlowOwnOptions);

constexpr std::uint32_t kMaskStream = 0x3a5c;

/// By Fisher and Yates. The same permutation on every device and in every build: a model's weights are made for it.
std::vector<std::int64_t> shuffled(std::int64_t d, std::uint64_t seed, std::uint64_t number) {
  std::vector<std::int64_t> order(d);
  for (std::int64_t j = 0; j < d; ++j) order[j] = j;
  for (std::int64_t j = d - 1; j > 0; --j) {
    const PhiloxWords words = random_words(seed, kMaskStream, number, static_cast<std::uint64_t>(j));
    std::swap(order[j], order[static_cast<std::int64_t>(words.word[0]) % (j + 1)]);
  }
  return order;
}

/// The columns that stay in block k, then those that move.
std::vector<std::int64_t> columns_of(const CouplingFlow::Options& options, std::int64_t k, std::int64_t& kept) {
  const std::int64_t d = options.dimension;
  std::vector<std::int64_t> order, stay, move;
  if (options.mask == CouplingFlow::Mask::random) {
    order = shuffled(d, static_cast<std::uint64_t>(options.mask_seed), static_cast<std::uint64_t>(k / 2));
  } else {
    order.resize(d);
    for (std::int64_t j = 0; j < d; ++j) order[j] = j;
  }
  for (std::int64_t j = 0; j < d; ++j) (j % 2 == k % 2 ? move : stay).push_back(order[j]);
  // In order, so that neighbouring threads read neighbouring columns where they can.
  std::sort(stay.begin(), stay.end());
  std::sort(move.begin(), move.end());
  kept = static_cast<std::int64_t>(stay.size());
  stay.insert(stay.end(), move.begin(), move.end());
  return stay;
}

}  // namespace

CouplingFlow::CouplingFlow(const Options& options) : options_(options) {
  if (options.dimension < 2)
    throw InputError(
        "flow coupling: some columns move by what the others say, so there must be at least 2 dimensions, not " +
        std::to_string(options.dimension));
  for (std::int64_t k = 0; k < options.blocks; ++k) {
    const std::string name = "blocks." + std::to_string(k);
    std::int64_t kept = 0;
    std::vector<std::int64_t> columns = columns_of(options, k, kept);
    const std::int64_t moved = options.dimension - kept;
    std::vector<std::int64_t> widths(options.depth + 2, options.width);
    widths.front() = kept + 1;
    const bool spline = options.transform == Transform::spline;
    widths.back() = moved * (spline ? 3 * options.bins - 1 : 2);
    std::vector<TimeFunctionLayer> phi;
    const std::vector<const char*> factors = spline ? std::vector{".phi"} : std::vector{".phi_s", ".phi_m"};
    phi.reserve(factors.size());
    for (const char* factor : factors)
      phi.emplace_back(parameters_, name + factor, options.time_function, moved, options.fourier_terms);
    blocks_.push_back({.columns = std::move(columns),
                       .columns_there = {},
                       .phi = std::move(phi),
                       .conditioner = Mlp(parameters_, name + ".conditioner", widths, options.activation,
                                          /*zero_last=*/true),
                       .kept = kept});
  }
}

Coupled CouplingFlow::couple(Tape& tape, std::int64_t k, Tensor t, Tensor x, bool inverse, bool with_log_det) {
  Block& block = blocks_[k];
  const std::size_t bytes = block.columns.size() * sizeof(std::int64_t);
  if (block.columns_there.bytes() != bytes) {
    block.columns_there = Memory(tape.device(), bytes, "a coupling's columns");
    Stream stream(tape.device());
    copy_bytes(stream, block.columns_there.data(), block.columns.data(), bytes);
    stream.synchronize();
  }
  const View<const std::int64_t> index(reinterpret_cast<const std::int64_t*>(block.columns_there.data()),
                                       {options_.dimension});
  const Tensor seen = select_columns(tape, x, index.row_slice(0, block.kept), t);
  const Scope s = scope(tape);
  const Tensor raw = block.conditioner(s, seen);
  const Tensor phi = block.phi[0](s, t);
  if (options_.transform == Transform::spline)
    return spline_coupling(tape, {.x = x,
                                  .raw = raw,
                                  .phi = phi,
                                  .index = index,
                                  .shape = {.bins = static_cast<int>(options_.bins),
                                            .box = static_cast<float>(options_.box),
                                            .slope_bound = static_cast<float>(options_.log_scale_bound)},
                                  .inverse = inverse,
                                  .with_log_det = with_log_det});
  return affine_coupling(tape, {.x = x,
                                .raw = raw,
                                .phi_scale = phi,
                                .phi_shift = block.phi[1](s, t),
                                .index = index,
                                .bound = static_cast<float>(options_.log_scale_bound),
                                .inverse = inverse,
                                .with_log_det = with_log_det});
}

Tensor CouplingFlow::forward_block(Tape& tape, std::int64_t k, Tensor t, Tensor x) {
  return couple(tape, k, t, x, /*inverse=*/false, /*with_log_det=*/false).y;
}

Tensor CouplingFlow::inverse_block(Tape& tape, std::int64_t k, Tensor t, Tensor y) {
  return couple(tape, k, t, y, /*inverse=*/true, /*with_log_det=*/false).y;
}

BlockWithLogDet CouplingFlow::forward_block_with_log_det(Tape& tape, std::int64_t k, Tensor t, Tensor x) {
  const Coupled coupled = couple(tape, k, t, x, /*inverse=*/false, /*with_log_det=*/true);
  return {coupled.y, coupled.log_det};
}

BlockWithLogDet CouplingFlow::inverse_block_with_log_det(Tape& tape, std::int64_t k, Tensor t, Tensor y) {
  const Coupled coupled = couple(tape, k, t, y, /*inverse=*/true, /*with_log_det=*/true);
  return {coupled.y, coupled.log_det};
}

nlohmann::json CouplingFlow::configuration() const {
  return flow_configuration("coupling", kCouplingFlowOptions, options_);
}

std::unique_ptr<Flow> make_coupling_flow(const nlohmann::json& configuration) {
  return std::make_unique<CouplingFlow>(read_flow_options(kCouplingFlowOptions, configuration, "flow coupling"));
}

std::vector<OptionEntry> coupling_flow_options() {
  return entries_of(kCouplingFlowOptions);
}

}  // namespace otnfm
