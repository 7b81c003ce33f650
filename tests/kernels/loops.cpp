// Every processor's loops of kernels/cpu/loops against double, at odd sizes, and AVX2 against AVX-512 to the bit.
#include "kernels/cpu/loops/loops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/dtype.h"
#include "tests/kernels/processors.h"

namespace otnfm {
namespace {

using host::Processor;

std::vector<float> normal_values(std::mt19937& random, std::int64_t count) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

TEST(CpuLoops, PackedTilesAreChainsWhateverIsSummedBeside) {
  std::mt19937 random(1);
  for (const int parts : {1, 2, 3, 4})
    for (const std::int64_t inner : {1, 7, 65})
      for (std::int64_t rows = 1; rows <= cpu::kPackedRows; ++rows) {
        const std::int64_t width = std::int64_t{cpu::kPackedPart} * parts, stride = inner + 3;
        const std::vector<float> x = normal_values(random, rows * stride);
        std::vector<float> panel = normal_values(random, inner * width), fused;
        std::vector<bfloat16> halves;
        for (float& w : panel) {
          halves.emplace_back(w);
          w = static_cast<float>(halves.back());
        }
        for (const auto& [processor, by] : tables_that_run<cpu::Loops>()) {
          std::vector<float> sums(static_cast<std::size_t>(rows * width), 7.0f), of_halves = sums;
          cpu::PackedTile tile{.x = x.data(),
                               .x_stride = stride,
                               .rows = rows,
                               .inner = inner,
                               .panel = panel.data(),
                               .parts = parts,
                               .sums = sums.data()};
          by->packed_floats(tile);
          tile.panel = halves.data();
          tile.sums = of_halves.data();
          by->packed_bfloat16s(tile);
          EXPECT_TRUE(sums == of_halves) << host::name_of(processor);
          for (std::int64_t r = 0; r < rows; ++r)
            for (std::int64_t j = 0; j < width; ++j) {
              float chain = 0;
              double size = 0;
              for (std::int64_t k = 0; k < inner; ++k) {
                const float a = x[static_cast<std::size_t>(r * stride + k)];
                const float b = panel[static_cast<std::size_t>(k * width + j)];
                chain = std::fma(a, b, chain);
                size += std::fabs(double{a} * b);
              }
              const float found = sums[static_cast<std::size_t>(r * width + j)];
              if (processor == Processor::portable)  // which may have no fused multiply-add
                ASSERT_NEAR(found, chain, 1e-7 * static_cast<double>(inner) * size);
              else
                ASSERT_EQ(found, chain) << host::name_of(processor);
            }
        }
      }
}

TEST(CpuLoops, TheNearestPointIsFoundWhateverTheBoxesSay) {
  std::mt19937 random(2);
  for (const std::int64_t d : {1, 2, 3, 5, 16})
    for (const std::int64_t count : {1, 64, 200, 1500}) {
      const std::vector<float> points = normal_values(random, count * d), bias = normal_values(random, count);
      for (const auto& [processor, by] : tables_that_run<cpu::Loops>()) {
        const std::int64_t blocks = (count + cpu::kBoxPoints - 1) / cpu::kBoxPoints;
        std::vector<std::byte> memory(static_cast<std::size_t>(
            sizeof(float) * static_cast<std::size_t>((blocks + 2) * (cpu::kBoxPoints + 3 * cpu::kBoxLanes) * (d + 1))));
        const cpu::Boxes boxes(memory.data(), d, count);
        for (std::int64_t at = 0; at < blocks * cpu::kBoxPoints; ++at) {
          const std::int64_t j = std::min(at, count - 1);
          for (std::int64_t k = 0; k < d; ++k)
            boxes.coordinate[k * boxes.point_stride + at] = points[static_cast<std::size_t>(j * d + k)];
          boxes.bias[at] = at < count ? bias[static_cast<std::size_t>(j)] : -std::numeric_limits<float>::infinity();
        }
        for (std::int64_t b = 0; b < boxes.block_stride; ++b) {
          for (std::int64_t k = 0; k < d; ++k)
            for (float* to : {boxes.low, boxes.high, boxes.shift}) to[k * boxes.block_stride + b] = 0;
          boxes.top[b] = -std::numeric_limits<float>::infinity();
        }
        for (std::int64_t b = 0; b < blocks; ++b)
          by->enclose(boxes, b, std::min(cpu::kBoxPoints, count - b * cpu::kBoxPoints));
        for (int query = 0; query < 20; ++query) {
          const std::vector<float> x = normal_values(random, d);
          cpu::Nearest best{std::numeric_limits<float>::infinity(), -1};
          by->search(boxes, x.data(), 100, &best);
          double least = std::numeric_limits<double>::infinity();
          for (std::int64_t j = 0; j < count; ++j) {
            double value = -bias[static_cast<std::size_t>(j)];
            for (std::int64_t k = 0; k < d; ++k)
              value +=
                  std::pow(double{x[static_cast<std::size_t>(k)]} - points[static_cast<std::size_t>(j * d + k)], 2);
            least = std::min(least, value);
          }
          ASSERT_NEAR(best.value, least, 2e-6 * static_cast<double>(d) * (1 + std::fabs(least)));
          ASSERT_TRUE(best.index >= 100 && best.index < 100 + count) << host::name_of(processor);
        }
      }
    }
}

TEST(CpuLoops, RowsAreSearchedToTheirLastColumn) {
  std::mt19937 random(3);
  for (const std::int64_t columns : {1, 15, 16, 17, 100})
    for (std::int64_t where = 0; where < columns; where += 7) {
      std::vector<float> offset = normal_values(random, columns), product = normal_values(random, columns);
      product[static_cast<std::size_t>(where)] = 50;
      for (const auto& [processor, by] : tables_that_run<cpu::Loops>()) {
        cpu::Nearest best{std::numeric_limits<float>::infinity(), -1};
        by->search_row(offset.data(), product.data(), columns, 10, &best);
        EXPECT_EQ(best.index, 10 + where) << host::name_of(processor);
        EXPECT_NEAR(best.value, offset[static_cast<std::size_t>(where)] - 100, 1e-4);
        best.value = -1000;  // what is better already stays
        best.index = 3;
        by->search_row(offset.data(), product.data(), columns, 10, &best);
        EXPECT_EQ(best.index, 3);
      }
    }
}

}  // namespace
}  // namespace otnfm
