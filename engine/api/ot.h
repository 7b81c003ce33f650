// The transport solvers alone, which need nothing of models: link otnfm::ot.
#pragma once

#include "engine/api/version.h"
#include "kernels/error.h"
#include "kernels/view.h"
#include "ot/auction.h"
#include "ot/certificate.h"
#include "ot/coupler.h"
#include "ot/exact.h"
#include "ot/semidiscrete.h"
#include "ot/sinkhorn.h"
#include "ot/solve.h"
#include "ot/transport.h"
