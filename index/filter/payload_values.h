// From a payload to the values that its indexed fields have.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "index/filter/value.h"
#include "index/schema/field.h"

namespace mrl::filter {

// The values of one row, by field in the schema's order; sorted, each once.
using RowValues = std::vector<std::vector<Value>>;

// `payload` is a JSON object or "". A field that is missing or null has no value. INVALID_ARGUMENT
// names a field whose value is of another type or beyond a limit.
absl::StatusOr<RowValues> ReadValues(const std::vector<Field>& fields, absl::string_view payload);

// Bytes that the values take in a tail, at most.
uint64_t MemoryBytes(const RowValues& values);

}  // namespace mrl::filter
