// Searches before the first caller's: a cold server's first answers are slow.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "index/collection/collection.h"

namespace mrl::server {

// Runs up to `queries` searches of the built-in funnel for points of the collection, spread over
// its segments, so that the pages and caches that searches need are warm. Stops after 5 s, and once
// `stopped` says so. Returns the number that ran; a failure is logged and ends it.
int64_t WarmUp(const std::string& name, const collection::Collection& collection, int64_t queries,
               const std::function<bool()>& stopped);

}  // namespace mrl::server
