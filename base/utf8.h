// Text as UTF-8, which strings of Protobuf have to be.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace mrl {

bool IsUtf8(absl::string_view text);
// `text` with a `?` in the place of each byte that belongs to no character, such as of one that was
// cut in two.
std::string ToUtf8(absl::string_view text);

}  // namespace mrl
