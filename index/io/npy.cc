#include "index/io/npy.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"

namespace mrl::io {
namespace {

constexpr uint64_t kHeaderBytesMax = 64 << 10;
constexpr char kMagic[] = "\x93NUMPY";

// Reads the dictionary {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } of a header.
class HeaderText {
 public:
  HeaderText(absl::string_view text, std::string name) : text_(text), name_(std::move(name)) {}

  absl::StatusOr<NpyHeader> Parse();

 private:
  absl::Status Bad(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(name_, ": npy header: ", what));
  }
  void SkipSpace() {
    while (!text_.empty() && (text_.front() == ' ' || text_.front() == '\n'))
      text_.remove_prefix(1);
  }
  bool Take(absl::string_view token) {
    SkipSpace();
    return absl::ConsumePrefix(&text_, token);
  }
  absl::StatusOr<std::string> Quoted();
  absl::Status Entry(const std::string& key, NpyHeader* header);
  absl::Status Shape(NpyHeader* header);

  absl::string_view text_;
  const std::string name_;
};

absl::StatusOr<std::string> HeaderText::Quoted() {
  SkipSpace();
  const char quote = text_.empty() ? '\0' : text_.front();
  const size_t end = quote == '\'' || quote == '"' ? text_.find(quote, 1) : absl::string_view::npos;
  if (end == absl::string_view::npos) return Bad("a quoted name is missing");
  std::string value(text_.substr(1, end - 1));
  text_.remove_prefix(end + 1);
  return value;
}

absl::Status HeaderText::Shape(NpyHeader* header) {
  const size_t end = text_.find(')');
  if (!Take("(") || end == absl::string_view::npos) return Bad("shape is not a tuple");
  const absl::string_view inside = text_.substr(0, text_.find(')'));
  text_.remove_prefix(inside.size() + 1);
  std::vector<absl::string_view> parts = absl::StrSplit(inside, ',');
  // Python writes `(3,)` and `()`: a last part may be empty, another may not.
  if (absl::StripAsciiWhitespace(parts.back()).empty()) parts.pop_back();
  for (absl::string_view part : parts) {
    part = absl::StripAsciiWhitespace(part);
    uint64_t size = 0;
    if (!absl::SimpleAtoi(part, &size)) return Bad(absl::StrCat("shape has '", part, "'"));
    header->shape.push_back(size);
  }
  return absl::OkStatus();
}

absl::Status HeaderText::Entry(const std::string& key, NpyHeader* header) {
  SkipSpace();
  if (key == "shape") return Shape(header);
  if (key == "fortran_order") {
    if (Take("True")) {
      return absl::InvalidArgumentError(
          absl::StrCat(name_, " is in Fortran order; save it with numpy.ascontiguousarray"));
    }
    return Take("False") ? absl::OkStatus() : Bad("fortran_order is neither True nor False");
  }
  if (key != "descr") return Bad(absl::StrCat("unknown key '", key, "'"));
  if (Take("[")) return Bad("the dtype is a structure; plain floats are needed");
  MRL_ASSIGN_OR_RETURN(header->dtype, Quoted());
  return absl::OkStatus();
}

absl::StatusOr<NpyHeader> HeaderText::Parse() {
  NpyHeader header;
  std::vector<std::string> seen;
  if (!Take("{")) return Bad("the dictionary is missing");
  while (!Take("}")) {
    MRL_ASSIGN_OR_RETURN(const std::string key, Quoted());
    if (!Take(":")) return Bad("a ':' is missing");
    MRL_RETURN_IF_ERROR(Entry(key, &header));
    seen.push_back(key);
    if (!Take(",") && text_.substr(0, 1) != "}") return Bad("it is cut short");
  }
  SkipSpace();
  if (!text_.empty()) return Bad("something follows the dictionary");
  std::sort(seen.begin(), seen.end());
  if (seen != std::vector<std::string>{"descr", "fortran_order", "shape"}) {
    return Bad("descr, fortran_order and shape are needed, once each");
  }
  return header;
}

absl::Status CheckDtype(const NpyHeader& header, const std::string& name,
                        const std::vector<std::string>& dtypes) {
  if (std::find(dtypes.begin(), dtypes.end(), header.dtype) != dtypes.end()) {
    return absl::OkStatus();
  }
  absl::string_view why;
  if (header.dtype.find('O') != std::string::npos) why = " (an object array)";
  if (!header.dtype.empty() && header.dtype.front() == '>') why = " (big-endian)";
  return absl::InvalidArgumentError(absl::StrCat(name, " has dtype ", header.dtype, why,
                                                 "; one of ", absl::StrJoin(dtypes, ", "),
                                                 " is needed"));
}

absl::Status CheckSize(NpyHeader* header, const ReadableFile& file, const std::string& name) {
  header->element_bytes = static_cast<uint64_t>(header->dtype.back() - '0');
  uint64_t elements = 1;
  for (const uint64_t size : header->shape) {
    if (size != 0 && elements > std::numeric_limits<uint64_t>::max() / 16 / size) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": npy header: the shape overflows"));
    }
    elements *= size;
  }
  const uint64_t bytes = file.size() - header->data_offset;
  if (elements * header->element_bytes > bytes) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": npy header: it promises ",
                                                   elements * header->element_bytes,
                                                   " bytes of data; the file has ", bytes));
  }
  return absl::OkStatus();
}

}  // namespace

uint64_t NpyHeader::elements() const {
  uint64_t product = 1;
  for (const uint64_t size : shape) product *= size;
  return product;
}

absl::StatusOr<NpyHeader> ReadNpyHeader(const ReadableFile& file, const std::string& name,
                                        const std::vector<std::string>& dtypes) {
  const auto bad = [&](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", what));
  };
  if (file.size() == 0) return bad("the file is empty");
  std::string start(std::min<uint64_t>(file.size(), 12), '\0');
  MRL_RETURN_IF_ERROR(
      file.ReadAt(0, absl::MakeSpan(reinterpret_cast<std::byte*>(start.data()), start.size())));
  if (start.substr(0, 6) != absl::string_view(kMagic, 6)) return bad("this is not an npy file");
  if (start.size() < 12) return bad("the npy header is cut short");
  const auto byte = [&](size_t i) { return static_cast<uint64_t>(static_cast<uint8_t>(start[i])); };
  const uint64_t version = byte(6);
  if (version < 1 || version > 3)
    return bad(absl::StrCat("npy version ", version, "; 1 to 3 are read"));
  uint64_t length = byte(8) | byte(9) << 8;
  if (version > 1) length |= byte(10) << 16 | byte(11) << 24;
  const uint64_t offset = version == 1 ? 10 : 12;
  if (length > file.size() - offset) return bad("the npy header is cut short");
  if (length > kHeaderBytesMax) {
    return bad(
        absl::StrCat("the npy header has ", length, " bytes; ", kHeaderBytesMax, " are allowed"));
  }
  std::string text(length, '\0');
  MRL_RETURN_IF_ERROR(
      file.ReadAt(offset, absl::MakeSpan(reinterpret_cast<std::byte*>(text.data()), text.size())));
  MRL_ASSIGN_OR_RETURN(NpyHeader header, HeaderText(text, name).Parse());
  header.data_offset = offset + length;
  MRL_RETURN_IF_ERROR(CheckDtype(header, name, dtypes));
  MRL_RETURN_IF_ERROR(CheckSize(&header, file, name));
  return header;
}

}  // namespace mrl::io
