#include "index/schema/point_id.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/utf8.h"

namespace mrl {

absl::Status PointId::Validate() const {
  if (is_number()) return absl::OkStatus();
  if (text().empty()) return absl::InvalidArgumentError("a point's id is the empty string");
  if (text().size() > kBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("id '", absl::CHexEscape(text().substr(0, 32)),
                                                   "…' has ", text().size(),
                                                   " bytes; the limit is ", kBytesMax));
  }
  // Answers carry ids as strings of Protobuf, which are UTF-8.
  if (!IsUtf8(text())) {
    return absl::InvalidArgumentError(
        absl::StrCat("id '", absl::CHexEscape(text()), "' is not UTF-8"));
  }
  return absl::OkStatus();
}

std::string PointId::ToString() const { return is_number() ? absl::StrCat(number()) : text(); }

std::strong_ordering PointId::operator<=>(const PointId& other) const {
  if (is_number() != other.is_number()) {
    return is_number() ? std::strong_ordering::less : std::strong_ordering::greater;
  }
  if (is_number()) return number() <=> other.number();
  const int order = text().compare(other.text());
  return order <=> 0;
}

}  // namespace mrl
