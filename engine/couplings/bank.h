// The option of every coupling that keeps a bank: how large it is.
#pragma once

#include <cstdint>

#include "engine/core/option_table.h"

namespace otnfm {

struct BankOptions {
  std::int64_t bank = 16384;
};

/// `help` says what it is a bank of.
template <class Options>
constexpr OptionField<Options> bank_field(const char* help) {
  return {.key = "bank",
          .member = &BankOptions::bank,
          .help = help,
          .range = {1, 1 << 24},
          // A bank's own sampling noise is in every sample of the model: 16384 pairs cost 12% of W2 at n = 4096, these
          // 3%.
          .endless = 65536.0};
}

/// For those that take the data themselves where there are finitely many.
inline constexpr const char* kBankOfEndlessData = "data, where they are endless";

}  // namespace otnfm
