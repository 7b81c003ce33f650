// Every processor's loops against plain double, at odd sizes; AVX2 and AVX-512 to the bit. And the row minima that a
// float32 product screens: those of all columns in double, whatever the potentials and the scale of the data are.
#include "ot/loops/loops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "ot/costs/row_minima.h"
#include "tests/kernels/processors.h"
#include "tests/ot/instances.h"

namespace otnfm::test {
namespace {

template <class T>
std::vector<T> normal_values(Random& random, std::int64_t count) {
  std::normal_distribution<double> normal;
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& value : values) value = static_cast<T>(normal(random));
  return values;
}

// What AVX2 has written AVX-512 must write too.
template <class T>
void expect_same_bits(host::Processor processor, const std::vector<T>& found, std::vector<T>& fused) {
  if (processor == host::Processor::portable) return;
  if (fused.empty()) fused = found;
  EXPECT_TRUE(found == fused) << host::name_of(processor);
}

TEST(Loops, PairCostsAndMinimaAreThoseOfDouble) {
  Random random(3);
  for (const Cost kind : {Cost::squared_euclidean, Cost::euclidean, Cost::negative_dot})
    for (const std::int64_t d : {1, 2, 7, 33})
      for (const std::int64_t rows : {1, 3, 4, 9}) {
        const std::vector<double> x = normal_values<double>(random, rows * d),
                                  block = normal_values<double>(random, d * kPairColumns),
                                  bias = normal_values<double>(random, kPairColumns);
        std::vector<double> fused_costs, fused_minima;
        for (const auto& [processor, by] : tables_that_run<Loops>()) {
          std::vector<double> costs(static_cast<std::size_t>(rows * kPairColumns), -7),
              minima(static_cast<std::size_t>(rows * kMinimaLanes), 1e300), largest(kMinimaLanes, 0.0);
          const std::int64_t half = d / 2;  // in two parts
          by->pair_costs(kind, x.data(), d, rows, block.data(), half, false, costs.data(), kPairColumns);
          by->pair_costs(kind, x.data() + half, d, rows, block.data() + half * kPairColumns, d - half, true,
                         costs.data(), kPairColumns);
          by->row_minima(kind, x.data(), rows, block.data(), d, bias.data(), minima.data(), largest.data());
          double most = 0;
          for (std::int64_t r = 0; r < rows; ++r) {
            double least = 1e300;
            for (int c = 0; c < kPairColumns; ++c) {
              double sum = 0;
              std::vector<double> y(static_cast<std::size_t>(d));
              for (std::int64_t k = 0; k < d; ++k) {
                const double a = x[r * d + k], b = y[k] = block[k * kPairColumns + c];
                sum += kind == Cost::negative_dot ? -a * b : (a - b) * (a - b);
              }
              EXPECT_NEAR(costs[r * kPairColumns + c], sum, 1e-13 * static_cast<double>(d)) << host::name_of(processor);
              const double cost = kind == Cost::euclidean ? std::sqrt(sum) : sum;
              EXPECT_NEAR(by->pair_cost(kind, x.data() + r * d, y.data(), d), cost, 1e-13 * static_cast<double>(d))
                  << host::name_of(processor);
              least = std::min(least, cost - bias[c]);
              most = std::max(most, std::fabs(cost));
            }
            EXPECT_NEAR(*std::min_element(&minima[r * kMinimaLanes], &minima[r * kMinimaLanes] + kMinimaLanes), least,
                        1e-13 * static_cast<double>(d))
                << host::name_of(processor);
          }
          EXPECT_NEAR(*std::max_element(largest.begin(), largest.end()), most, 1e-13 * static_cast<double>(d))
              << host::name_of(processor);
          expect_same_bits(processor, costs, fused_costs);
          expect_same_bits(processor, minima, fused_minima);
        }
      }
}

TEST(Loops, ProductsAreChainsInTheOrderOfTheCoordinates) {
  Random random(4);
  for (const std::int64_t d : {1, 5, 257, 700})
    for (const std::int64_t rows : {1, 6, 7, 131})
      for (const std::int64_t columns : {1, 16, 50, 96}) {
        const std::int64_t padded = (columns + kPanelColumns - 1) / kPanelColumns * kPanelColumns;
        const std::vector<float> x = normal_values<float>(random, rows * d),
                                 y = normal_values<float>(random, columns * d);
        std::vector<float> panels(static_cast<std::size_t>(padded * d), 0.0f), fused;
        for (std::int64_t j = 0; j < columns; ++j)
          for (std::int64_t k = 0; k < d; ++k)
            panels[j / kPanelColumns * d * kPanelColumns + k * kPanelColumns + j % kPanelColumns] = y[j * d + k];
        for (const auto& [processor, by] : tables_that_run<Loops>()) {
          std::vector<float> out(static_cast<std::size_t>(rows * padded), 9.0f);
          by->product(x.data(), rows, d, panels.data(), columns, out.data(), padded);
          for (std::int64_t i = 0; i < rows; i += 3)
            for (std::int64_t j = 0; j < columns; ++j) {
              double sum = 0, size = 0;
              for (std::int64_t k = 0; k < d; ++k) {
                const double term = double{x[i * d + k]} * y[j * d + k];
                sum += term;
                size += std::fabs(term);
              }
              ASSERT_NEAR(out[i * padded + j], sum, 0x1p-24 * static_cast<double>(d + 1) * size)
                  << host::name_of(processor);
            }
          expect_same_bits(processor, out, fused);
        }
      }
}

TEST(Loops, RowsOfSinkhornsKernel) {
  Random random(5);
  for (const std::int64_t stride : {16, 48, 1040}) {
    const std::vector<float> k = normal_values<float>(random, 4 * stride), v = normal_values<float>(random, stride);
    std::vector<float> weight = normal_values<float>(random, stride);
    for (float& w : weight) w = std::fabs(w);
    weight[3] = 0;
    std::vector<float> fused_e, fused_sums;
    for (const auto& [processor, by] : tables_that_run<Loops>()) {
      std::vector<float> e(static_cast<std::size_t>(4 * stride)), sums(static_cast<std::size_t>(stride), 0.5f),
          stable(static_cast<std::size_t>(stride), 0.0f), highest(static_cast<std::size_t>(stride), -1e30f);
      const float scale[4] = {1.5f, -2, 0.25f, 3};
      for (int r = 0; r < 4; ++r) {
        const float* row = k.data() + r * stride;
        double sum = 0, mass = 0, largest = 0, top = -1e300;
        for (std::int64_t j = 0; j < stride; ++j) {
          const double exponent = double{v[j]} + 1.25 * row[j], value = std::exp2(exponent - 0.5);
          sum += value * weight[j];
          mass += value * weight[j] * row[j];
          largest = std::max(largest, value * weight[j]);
          if (weight[j] > 0) top = std::max(top, exponent);
        }
        float most = 0;
        EXPECT_NEAR(by->exponentials(row, stride, v.data(), weight.data(), -0.5f, 1.25f, e.data() + r * stride), sum,
                    2e-6 * sum)
            << host::name_of(processor);
        EXPECT_NEAR(by->plan_row(e.data() + r * stride, weight.data(), row, stride, &most), mass, 2e-6 * sum * 5)
            << host::name_of(processor);
        EXPECT_NEAR(most, largest, 2e-6 * largest) << host::name_of(processor);
        EXPECT_NEAR(by->highest_exponent(row, stride, v.data(), weight.data(), 1.25f), top, 1e-6 * (1 + std::fabs(top)))
            << host::name_of(processor);
        by->add_stably(row, stride, v.data(), -0.5f, 1.25f, 2.0f, stable.data(), highest.data());
      }
      by->add_rows(e.data(), stride, 4, scale, sums.data());
      by->add_rows(e.data(), stride, 3, scale, sums.data());
      for (std::int64_t j = 0; j < stride; ++j) {
        double want = 0.5, size = 0.5, stably = 0;
        for (int r = 0; r < 4; ++r) {
          const double value = std::exp2(double{v[j]} + 1.25 * k[r * stride + j] - 0.5);
          EXPECT_NEAR(e[r * stride + j], value, 2e-6 * value) << host::name_of(processor);
          want += value * scale[r] * (r < 3 ? 2 : 1);
          size += value * std::fabs(scale[r]) * 2;
          stably += 2 * value;
        }
        EXPECT_NEAR(sums[j], want, 2e-6 * size) << host::name_of(processor);
        EXPECT_NEAR(stable[j] * std::exp2(double{highest[j]}), stably, 4e-6 * stably) << host::name_of(processor);
      }
      expect_same_bits(processor, e, fused_e);
      expect_same_bits(processor, sums, fused_sums);
    }
  }
}

TEST(RowMinima, WhatIsScreenedIsThatOfAllColumns) {
  Random random(std::random_device{}());
  std::normal_distribution<double> normal;
  int screened = 0;
  for (const Cost cost : {Cost::squared_euclidean, Cost::negative_dot, Cost::euclidean})
    for (const auto& [n, m, d] : {std::tuple{150, 131, 40}, {5, 1, 300}, {40, 600, 13}, {33, 20, 5}})
      for (const double scale : {1.0, 1e-30, 1e100})
        for (const double offset : {0.0, 1e6})
          for (const double noise : {0.0, 1.0, 1e9}) {  // of g, in units of the costs
            Matrix<double> x = gaussian<double>(random, n, d), y = gaussian<double>(random, m, d);
            if (noise > 0) y.values[0] = 1e5;  // an outlier
            for (double& value : x.values) value = scale * (value + offset);
            for (double& value : y.values) value = scale * (value + offset);
            const Matrix<double> c = cost_matrix(x, y, cost);
            double largest = 0, middle = 0;
            for (const double value : c.values) largest = std::max(largest, std::fabs(value));
            middle = cost == Cost::euclidean ? scale : scale * scale;
            std::vector<double> g(static_cast<std::size_t>(m));
            for (double& value : g) value = noise * middle * normal(random);
            if (m > 2) g[2] = -std::numeric_limits<double>::infinity();
            const Problem problem = Problem::from_points(x.view(), y.view(), cost);
            const RowMinima rows(problem, g);
            RowMinima::Scratch scratch;
            std::vector<double> found(static_cast<std::size_t>(n));
            ASSERT_TRUE(rows.find(0, n, found.data(), scratch));
            const double most = scratch.largest;
            screened += rows.screens();
            EXPECT_NEAR(most, largest, 1e-3 * largest);
            for (std::int64_t i = 0; i < n; ++i) {
              double least = std::numeric_limits<double>::infinity();
              for (std::int64_t j = 0; j < m; ++j)
                least = std::min(least, c.values[i * m + j] - g[static_cast<std::size_t>(j)]);
              ASSERT_NEAR(found[static_cast<std::size_t>(i)], least,
                          1e-14 * static_cast<double>(d) * largest + 1e-15 * std::fabs(least))
                  << name_of(cost) << " d = " << d << ", scale " << scale << ", offset " << offset << ", noise "
                  << noise << ", row " << i;
            }
          }
  EXPECT_GT(screened, 50);
}

}  // namespace
}  // namespace otnfm::test
