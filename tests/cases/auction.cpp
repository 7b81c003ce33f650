// Coordinates and costs are small whole numbers, so that float32 sums are exact and ties are many: the reference must
// be met to the last bit.
#include "kernels/auction.h"

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

constexpr float kScale = 4;
const double kNone = static_cast<double>(std::int64_t{0x7fffffffffffffff});

Buffer input(const char* name, std::vector<std::int64_t> shape, DType dtype, Fill fill) {
  return {name, Role::input, std::move(shape), dtype, fill};
}
Buffer output(const char* name, std::vector<std::int64_t> shape, DType dtype) {
  return {name, Role::output, std::move(shape), dtype};
}

using CostOf = std::function<double(const Values&, std::int64_t, std::int64_t)>;

CostOf point_cost(std::int64_t d) {
  return [d](const Values& v, std::int64_t i, std::int64_t j) {
    double sum = 0;
    for (std::int64_t k = 0; k < d; ++k) {
      const double difference =
          v.at("x")[static_cast<std::size_t>(i * d + k)] - v.at("y")[static_cast<std::size_t>(j * d + k)];
      sum += difference * difference;
    }
    return sum;
  };
}

CostOf stored_cost(std::int64_t m) {
  return [m](const Values& v, std::int64_t i, std::int64_t j) {
    return v.at("costs")[static_cast<std::size_t>(i * m + j)];
  };
}

// What is not listed stays as it was, all bits set.
Reference scan_reference(std::int64_t m, CostOf cost) {
  return [m, cost = std::move(cost)](Values& v) {
    for (std::size_t slot = 0; slot < v["rows"].size(); ++slot) {
      v["column"][slot] = v["first"][slot] = v["second"][slot] = -1;
      if (static_cast<double>(slot) >= v["count"][0]) continue;
      double first = kNone, second = kNone, column = -1;
      for (std::int64_t j = 0; j < m; ++j) {
        const double value =
            kScale * cost(v, static_cast<std::int64_t>(v["rows"][slot]), j) + v["price"][static_cast<std::size_t>(j)];
        if (value < first) {
          second = first;
          first = value;
          column = static_cast<double>(j);
        } else if (value < second) {
          second = value;
        }
      }
      v["column"][slot] = column;
      v["first"][slot] = first;
      v["second"][slot] = second;
    }
  };
}

AuctionRows listed(const Buffers& b) {
  return {b.view<std::int32_t>("rows"), b.view<std::int32_t>("count"), b.view<std::int32_t>("column"),
          b.view<std::int64_t>("first"), b.view<std::int64_t>("second")};
}

void add_scan(std::vector<Case>& list, Case c, std::int64_t n, std::int64_t m, std::int64_t k, std::int64_t count) {
  c.buffers.push_back(input("price", {m}, DType::int64, Fill::integers(0, 40)));
  c.buffers.push_back(input("rows", {k}, DType::int32, Fill::integers(0, static_cast<double>(n))));
  c.buffers.push_back(
      input("count", {1}, DType::int32, Fill::integers(static_cast<double>(count), static_cast<double>(count + 1))));
  c.buffers.push_back(output("column", {k}, DType::int32));
  c.buffers.push_back(output("first", {k}, DType::int64));
  c.buffers.push_back(output("second", {k}, DType::int64));
  c.tolerance = 0;
  c.same_on_every_backend = true;
  list.push_back(std::move(c));
}

void add_scans(std::vector<Case>& list, std::int64_t n, std::int64_t m, std::int64_t d, std::int64_t k,
               std::int64_t count, bool bench) {
  const Fill whole = Fill::integers(-8, 8);
  const double pairs = static_cast<double>(count * m);
  add_scan(list,
           {.op = "auction_scan_points",
            .variant = label({n, m, d}) + " " + std::to_string(count) + " of " + std::to_string(k),
            .buffers = {input("x", {n, d}, DType::float32, whole), input("y", {m, d}, DType::float32, whole)},
            .run =
                [](Stream& s, const Buffers& b) {
                  auction_scan_points(s, {b.in("x"), b.in("y"), kScale, b.view<std::int64_t>("price"), listed(b)});
                },
            .reference = scan_reference(m, point_cost(d)),
            .bytes = 4.0 * static_cast<double>((n + m) * d) + 8.0 * static_cast<double>(m),
            .flops = pairs * (3.0 * static_cast<double>(d) + 5),
            .bench = bench},
           n, m, k, count);
  add_scan(list,
           {.op = "auction_scan_stored",
            .variant = label({n, m}) + " " + std::to_string(count) + " of " + std::to_string(k),
            .buffers = {input("costs", {n, m}, DType::float32, Fill::integers(-50, 50))},
            .run =
                [](Stream& s, const Buffers& b) {
                  auction_scan_stored(s, {b.in("costs"), kScale, b.view<std::int64_t>("price"), listed(b)});
                },
            .reference = scan_reference(m, stored_cost(m)),
            .bytes = 4 * pairs,
            .flops = 5 * pairs,
            .bench = bench},
           n, m, k, count);
}

// A raise above 0 in the upper bits, the row's complement in the lower 31. With raises and rows this small a double
// holds the word.
double packed(double raise, double row) {
  return raise * 2147483648.0 + (2147483647.0 - row);
}

void bid_reference(Values& v) {
  for (std::size_t slot = 0; slot < v["rows"].size(); ++slot) {
    if (static_cast<double>(slot) >= v["count"][0]) continue;
    double& highest = v["bids"][static_cast<std::size_t>(v["column"][slot])];
    highest = std::max(highest, packed(v["second"][slot] - v["first"][slot] + 3, v["rows"][slot]));
  }
}

void add_bid(std::vector<Case>& list, std::int64_t k, std::int64_t count, std::int64_t m, bool bench = false) {
  list.push_back({.op = "auction_bid",
                  .variant = label({k, m}) + " " + std::to_string(count),
                  .buffers = {input("rows", {k}, DType::int32, Fill::integers(0, 1000)),
                              input("count", {1}, DType::int32,
                                    Fill::integers(static_cast<double>(count), static_cast<double>(count + 1))),
                              input("column", {k}, DType::int32, Fill::integers(0, static_cast<double>(m))),
                              input("first", {k}, DType::int64, Fill::integers(-20, 0)),
                              input("second", {k}, DType::int64, Fill::integers(0, 20)),
                              {"bids", Role::in_out, {m}, DType::uint64, Fill::zeros()}},
                  .run =
                      [](Stream& s, const Buffers& b) {
                        auction_bid(s, {b.view<std::int32_t>("rows"), b.view<std::int32_t>("count"),
                                        b.view<std::int32_t>("column"), b.view<std::int64_t>("first"),
                                        b.view<std::int64_t>("second"), 3, b.view<std::uint64_t>("bids")});
                      },
                  .reference = bid_reference,
                  .tolerance = 0,
                  .same_on_every_backend = true,
                  .bytes = 28.0 * static_cast<double>(count) + 8.0 * static_cast<double>(m),
                  .bench = bench});
}

// One bid, so that any column and row are legal; several are in tests/kernels/auction.cpp.
void add_assign(std::vector<Case>& list, std::int64_t n, std::int64_t m, bool bench = false) {
  list.push_back({.op = "auction_assign",
                  .variant = label({n, m}),
                  .buffers = {input("rows", {1}, DType::int32, Fill::integers(0, static_cast<double>(n))),
                              input("count", {1}, DType::int32, Fill::integers(1, 2)),
                              input("column", {1}, DType::int32, Fill::integers(0, static_cast<double>(m))),
                              input("first", {1}, DType::int64, Fill::integers(-20, 0)),
                              input("second", {1}, DType::int64, Fill::integers(0, 20)),
                              {"bids", Role::in_out, {m}, DType::uint64, Fill::zeros()},
                              {"price", Role::in_out, {m}, DType::int64, Fill::integers(0, 40)},
                              {"owner", Role::in_out, {m}, DType::int32, Fill::integers(-1, 0)},
                              {"column_of", Role::in_out, {n}, DType::int32, Fill::integers(-1, 0)}},
                  .run =
                      [](Stream& s, const Buffers& b) {
                        auction_bid(s, {b.view<std::int32_t>("rows"), b.view<std::int32_t>("count"),
                                        b.view<std::int32_t>("column"), b.view<std::int64_t>("first"),
                                        b.view<std::int64_t>("second"), 3, b.view<std::uint64_t>("bids")});
                        auction_assign(s, {b.view<std::uint64_t>("bids"), b.view<std::int64_t>("price"),
                                           b.view<std::int32_t>("owner"), b.view<std::int32_t>("column_of")});
                      },
                  .reference =
                      [](Values& v) {
                        const auto row = static_cast<std::size_t>(v["rows"][0]),
                                   column = static_cast<std::size_t>(v["column"][0]);
                        v["price"][column] += v["second"][0] - v["first"][0] + 3;
                        v["owner"][column] = v["rows"][0];
                        v["column_of"][row] = v["column"][0];
                      },
                  .tolerance = 0,
                  .same_on_every_backend = true,
                  .bytes = 28.0 * static_cast<double>(m),
                  .bench = bench});
}

constexpr std::int64_t kDear = 30;

Reference check_reference(CostOf cost) {
  return [cost = std::move(cost)](Values& v) {
    for (std::size_t i = 0; i < v["column_of"].size(); ++i) {
      v["value"][i] = 0;
      if (v["column_of"][i] < 0) continue;
      const auto j = static_cast<std::size_t>(v["column_of"][i]);
      v["value"][i] = kScale * cost(v, static_cast<std::int64_t>(i), static_cast<std::int64_t>(j)) + v["price"][j];
      if (v["value"][i] - v["first"][i] <= kDear) continue;
      v["column_of"][i] = v["owner"][j] = -1;
    }
  };
}

void add_checks(std::vector<Case>& list, std::int64_t n, std::int64_t m, std::int64_t d, bool bench = false) {
  const auto add = [&](Case c) {
    c.buffers.push_back(input("price", {m}, DType::int64, Fill::integers(0, 40)));
    // A bench keeps every match, so that each repetition checks as many.
    const Fill first = bench ? Fill::integers(1000000, 1000001) : Fill::integers(-20, 60);
    c.buffers.push_back(input("first", {n}, DType::int64, first));
    c.buffers.push_back({"column_of", Role::in_out, {n}, DType::int32, Fill::integers(-1, static_cast<double>(m))});
    c.buffers.push_back({"owner", Role::in_out, {m}, DType::int32, Fill::integers(0, static_cast<double>(n + 1))});
    c.buffers.push_back(output("value", {n}, DType::int64));
    c.tolerance = 0;
    c.same_on_every_backend = true;
    list.push_back(std::move(c));
  };
  const auto own = [](const Buffers& b) {
    return AuctionCheck{
        b.view<std::int64_t>("price"),     b.view<std::int64_t>("first"), kDear,
        b.view<std::int32_t>("column_of"), b.view<std::int32_t>("owner"), b.view<std::int64_t>("value")};
  };
  const Fill whole = Fill::integers(-3, 3);
  add({.op = "auction_check_points",
       .variant = label({n, m, d}),
       .buffers = {input("x", {n, d}, DType::float32, whole), input("y", {m, d}, DType::float32, whole)},
       .run =
           [own](Stream& s, const Buffers& b) {
             auction_check_points(s, {b.in("x"), b.in("y"), kScale, own(b)});
           },
       .reference = check_reference(point_cost(d)),
       .bytes = static_cast<double>(n) * (8.0 * static_cast<double>(d) + 28),
       .flops = 3.0 * static_cast<double>(n * d),
       .bench = bench});
  add({.op = "auction_check_stored",
       .variant = label({n, m}),
       .buffers = {input("costs", {n, m}, DType::float32, Fill::integers(-20, 20))},
       .run =
           [own](Stream& s, const Buffers& b) {
             auction_check_stored(s, {b.in("costs"), kScale, own(b)});
           },
       .reference = check_reference(stored_cost(m)),
       .bytes = 32.0 * static_cast<double>(n),
       .bench = bench});
}

void add_list(std::vector<Case>& list, std::int64_t n, bool bench) {
  list.push_back({.op = "auction_list",
                  .variant = label({n}),
                  .buffers = {input("column_of", {n}, DType::int32, Fill::integers(-1, 2)),
                              output("rows", {n}, DType::int32), output("count", {1}, DType::int32)},
                  .run =
                      [](Stream& s, const Buffers& b) {
                        auction_list(s, {b.view<std::int32_t>("column_of"), b.view<std::int32_t>("rows"),
                                         b.view<std::int32_t>("count")});
                      },
                  .reference =
                      [](Values& v) {
                        std::fill(v["rows"].begin(), v["rows"].end(), -1);
                        std::size_t count = 0;
                        for (std::size_t i = 0; i < v["column_of"].size(); ++i)
                          if (v["column_of"][i] < 0) v["rows"][count++] = static_cast<double>(i);
                        v["count"][0] = static_cast<double>(count);
                      },
                  .tolerance = 0,
                  .same_on_every_backend = true,
                  .bytes = 8.0 * static_cast<double>(n),
                  .bench = bench});
}

std::vector<Case> cases() {
  std::vector<Case> list;
  for (const auto& [n, m, d] : {std::tuple{1, 1, 1},
                                {1, 2, 1},
                                {5, 0, 2},
                                {31, 33, 2},
                                {33, 31, 3},
                                {7, 257, 8},
                                {127, 300, 5},
                                {65, 129, 16},
                                {66, 130, 17},
                                {131, 67, 40},
                                {5, 1100, 2}}) {
    add_scans(list, n, m, d, n, n, false);
    add_scans(list, n, m, d, n + 9, n / 2, false);
    add_scans(list, n, m, d, n, 0, false);
  }
  add_scans(list, 4096, 4096, 2, 4096, 4096, true);
  add_scans(list, 4096, 4096, 64, 4096, 4096, true);
  for (const auto& [k, count, m] : {std::tuple{0, 0, 3}, {1, 1, 1}, {33, 33, 7}, {300, 257, 40}, {300, 0, 40}})
    add_bid(list, k, count, m);
  for (const auto& [n, m] : {std::pair{1, 1}, {31, 33}, {5, 300}, {300, 5}}) add_assign(list, n, m);
  for (const auto& [n, m, d] : {std::tuple{1, 1, 1}, {0, 3, 2}, {31, 33, 2}, {257, 40, 17}, {33, 7, 5}})
    add_checks(list, n, m, d);
  add_bid(list, 65536, 65536, 65536, true);
  add_assign(list, 65536, 65536, true);
  add_checks(list, 16384, 4096, 64, true);
  for (const std::int64_t n : {0, 1, 31, 33, 1023, 1025, 2077}) add_list(list, n, false);
  add_list(list, 65536, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
