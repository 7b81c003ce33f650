// Whole numbers, so that float32 sums are exact and ties are many. A list that decides, one that does not, and one
// whose bound is below everything, as at the start; what becomes of lists as prices rise is in
// tests/kernels/auction_lists.cpp.
#include "kernels/auction_lists.h"

#include <algorithm>

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

constexpr float kScale = 4;
constexpr double kNone = static_cast<double>(INT64_MAX);

using CostOf = std::function<double(const Values&, std::int64_t, std::int64_t)>;

Reference rescan_reference(std::int64_t m, CostOf cost) {
  return [m, cost = std::move(cost)](Values& v) {
    std::vector<double>&columns = v["columns"], &beyond = v["beyond"];
    for (std::size_t slot = 0; slot < v["rows"].size(); ++slot) {
      v["column"][slot] = v["first"][slot] = v["second"][slot] = -1;  // what is not listed stays, all bits set
      if (static_cast<double>(slot) >= v["count"][0]) continue;
      const auto i = static_cast<std::size_t>(v["rows"][slot]);
      const auto entry = [&](std::int64_t j) {
        return std::pair(kScale * cost(v, static_cast<std::int64_t>(i), j) + v["price"][static_cast<std::size_t>(j)],
                         j);
      };
      std::vector<std::pair<double, std::int64_t>> list;
      list.reserve(static_cast<std::size_t>(std::max(m, kAuctionListLength)) + 2);
      for (std::size_t k = 0; k < kAuctionListLength; ++k)
        if (const double j = columns[i * kAuctionListLength + k]; j >= 0)
          list.push_back(entry(static_cast<std::int64_t>(j)));
      list.resize(list.size() + 2, {kNone, -1});
      std::sort(list.begin(), list.end());
      if (!(list[0].first < beyond[i] && list[1].first <= beyond[i])) {
        list.clear();
        for (std::int64_t j = 0; j < m; ++j) list.push_back(entry(j));
        list.resize(std::max(list.size(), static_cast<std::size_t>(kAuctionListLength) + 1), {kNone, -1});
        std::sort(list.begin(), list.end());
        beyond[i] = list[kAuctionListLength].first;
        for (std::size_t k = 0; k < kAuctionListLength; ++k)
          columns[i * kAuctionListLength + k] = static_cast<double>(list[k].second);
      }
      v["column"][slot] = static_cast<double>(list[0].second);
      v["first"][slot] = list[0].first;
      v["second"][slot] = list[1].first;
    }
  };
}

AuctionRows listed(const Buffers& b) {
  return {b.view<std::int32_t>("rows"), b.view<std::int32_t>("count"), b.view<std::int32_t>("column"),
          b.view<std::int64_t>("first"), b.view<std::int64_t>("second")};
}

AuctionLists lists_of(const Buffers& b) {
  return {b.view<std::int32_t>("columns"), b.view<std::int64_t>("beyond")};
}

/// `beyond`: every list's bound. Costs lie in [-200, 200] and prices in [0, 40).
void add(std::vector<Case>& list, std::int64_t n, std::int64_t m, std::int64_t d, std::int64_t count, double beyond,
         bool bench = false) {
  const auto input = [](const char* name, std::vector<std::int64_t> shape, DType dtype, Fill fill) {
    return Buffer{name, Role::input, std::move(shape), dtype, fill};
  };
  const auto one = [&](Case c) {
    c.buffers.push_back(input("price", {m}, DType::int64, Fill::integers(0, 40)));
    c.buffers.push_back(input("rows", {n}, DType::int32, Fill::permutation()));
    c.buffers.push_back(
        input("count", {1}, DType::int32, Fill::integers(static_cast<double>(count), static_cast<double>(count + 1))));
    c.buffers.push_back(
        {"columns", Role::in_out, {n, kAuctionListLength}, DType::int32, Fill::integers(-1, static_cast<double>(m))});
    c.buffers.push_back({"beyond", Role::in_out, {n}, DType::int64, Fill::integers(beyond, beyond + 1)});
    c.buffers.push_back({"column", Role::output, {n}, DType::int32});
    c.buffers.push_back({"first", Role::output, {n}, DType::int64});
    c.buffers.push_back({"second", Role::output, {n}, DType::int64});
    c.variant += " beyond " + std::to_string(static_cast<std::int64_t>(beyond));
    c.tolerance = 0;
    c.same_on_every_backend = true;
    c.bench = bench;
    list.push_back(std::move(c));
  };
  const double pairs = static_cast<double>(count * (beyond > 1000 ? kAuctionListLength : m));
  const CostOf point_cost = [d](const Values& v, std::int64_t i, std::int64_t j) {
    double sum = 0;
    for (std::int64_t k = 0; k < d; ++k) {
      const double difference =
          v.at("x")[static_cast<std::size_t>(i * d + k)] - v.at("y")[static_cast<std::size_t>(j * d + k)];
      sum += difference * difference;
    }
    return sum;
  };
  const CostOf stored_cost = [m](const Values& v, std::int64_t i, std::int64_t j) {
    return v.at("costs")[static_cast<std::size_t>(i * m + j)];
  };
  one({.op = "auction_rescan_points",
       .variant = label({n, m, d}) + " " + std::to_string(count),
       .buffers = {input("x", {n, d}, DType::float32, Fill::integers(-8, 8)),
                   input("y", {m, d}, DType::float32, Fill::integers(-8, 8))},
       .run =
           [](Stream& s, const Buffers& b) {
             auction_rescan_points(
                 s, {b.in("x"), b.in("y"), kScale, b.view<std::int64_t>("price"), lists_of(b), listed(b)});
           },
       .reference = rescan_reference(m, point_cost),
       .bytes = 4.0 * pairs * static_cast<double>(d),
       .flops = pairs * (3.0 * static_cast<double>(d) + 5)});
  one({.op = "auction_rescan_stored",
       .variant = label({n, m}) + " " + std::to_string(count),
       .buffers = {input("costs", {n, m}, DType::float32, Fill::integers(-50, 50))},
       .run =
           [](Stream& s, const Buffers& b) {
             auction_rescan_stored(s, {b.in("costs"), kScale, b.view<std::int64_t>("price"), lists_of(b), listed(b)});
           },
       .reference = rescan_reference(m, stored_cost),
       .bytes = 4 * pairs,
       .flops = 5 * pairs});
}

std::vector<Case> cases() {
  std::vector<Case> list;
  for (const auto& [n, m, d] :
       {std::tuple{1, 1, 1}, {3, 2, 1}, {5, 31, 2}, {4, 32, 3}, {4, 33, 2}, {7, 257, 3}, {3, 600, 17}})
    for (const double beyond : {-1e6, 0.0, 1e6}) {
      add(list, n, m, d, n, beyond);
      add(list, n, m, d, n / 2, beyond);
    }
  add(list, 3, 0, 2, 3, -1e6);
  add(list, 512, 16384, 2, 512, -1e6, true);
  add(list, 512, 16384, 2, 512, 1e6, true);
  add(list, 512, 16384, 64, 512, 1e6, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
