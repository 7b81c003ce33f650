// Drawing x0 or x1 on the tape: fresh numbers at every run, made where the step runs.
#pragma once

#include <vector>

#include "engine/core/ops.h"
#include "engine/data/source.h"

namespace otnfm {

/// Memory that a recorded draw reads at every run; it must outlive the tape.
using HeldMemory = std::vector<Memory>;

/// B rows of the source, [B, d]. Two streams of random numbers are used: key.stream and `second_stream`.
Tensor record_draw(Tape& tape, const Source& source, std::int64_t B, const RandomKey& key, std::uint32_t second_stream,
                   HeldMemory& held);

/// B draws of an endless set, or B rows of a finite one picked at random, with replacement. [B, d]
Tensor record_draw(Tape& tape, const Dataset& dataset, std::int64_t B, const RandomKey& key, HeldMemory& held);

/// Rows of a finite set by number, [B] of int64 -> [B, d]; one that the set does not have becomes NaN. On the device
/// images in bytes stay bytes.
Tensor record_rows(Tape& tape, const Dataset& dataset, Tensor index, HeldMemory& held);

/// A matrix of the host's as a tensor: in place on the CPU, copied once to a CUDA device.
Tensor record_constant(Tape& tape, View<const float> rows, HeldMemory& held);

}  // namespace otnfm
