// The library in one include: samples of a trained model, pairs of points by optimal transport, and the solvers behind
// them. Errors are exceptions of kernels/error.h: InputError where what was handed in is wrong, RunError where the
// machine failed.
#pragma once

#include "engine/api/version.h"
#include "engine/generate/generator.h"
#include "kernels/error.h"
#include "kernels/memory.h"
#include "kernels/stream.h"
#include "kernels/view.h"
#include "ot/auction.h"
#include "ot/certificate.h"
#include "ot/coupler.h"
#include "ot/exact.h"
#include "ot/semidiscrete.h"
#include "ot/sinkhorn.h"
#include "ot/solve.h"
#include "ot/transport.h"
