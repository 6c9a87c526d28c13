// Answers in the place of a coarse index that a segment does not have: rows of the tail, and
// segments whose index is not built yet.
#pragma once

#include <memory>
#include <string>

#include "index/coarse/coarse.h"

namespace mrl::coarse {

// Scores every row from the stored precision, at any ladder step, under the name of `kind`, and
// takes whatever params that kind may take.
//
// A request in codes is answered from the stored precision as well. It is the score that codes of
// other segments estimate, so candidates of both may be merged: a row that its estimate would let
// pass with more than even odds passes for certain, and one below even odds does not.
std::shared_ptr<const CoarseIndex> MakeStandIn(std::string kind,
                                               std::shared_ptr<const store::Segment> segment);

}  // namespace mrl::coarse
