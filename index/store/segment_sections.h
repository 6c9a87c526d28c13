// Names and order of a segment's sections, shared by its writer and its reader.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"

namespace mrl::store {

inline std::string LevelSection(size_t level) { return absl::StrCat("level.", level); }

inline constexpr char kScalesSection[] = "scales";             // f32 [rows][levels], int8 only
inline constexpr char kNormsSection[] = "inverse_norms";       // f32 [rows][levels], COSINE only
inline constexpr char kTransformSection[] = "mean_deviation";  // f32 [rows][2], layer_norm only
inline constexpr char kSequencesSection[] =
    "sequences";  // u32 [rows]: above first_sequence; only where numbers may be left out
inline constexpr char kIdValuesSection[] = "id_values";  // u64 [rows]: number, or heap offset
inline constexpr char kIdOrderSection[] = "id_order";    // u32 [rows]: rows sorted by id
inline constexpr char kIdLengthsSection[] =
    "id_lengths";  // u16 [rows]: 0 = number; empty = all are
inline constexpr char kPayloadOffsetsSection[] = "payload_offsets";  // u64 [rows + 1]
inline constexpr char kPayloadsSection[] = "payloads";               // JSON texts, end to end
inline constexpr char kIdHeapSection[] = "id_heap";                  // string ids, end to end

}  // namespace mrl::store
