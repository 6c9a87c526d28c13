#include "index/store/id_column.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mrl::store {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(IdColumn, GivesEachIdBackOverManyBlocks) {
  IdColumn column(20'000);
  std::vector<PointId> ids;
  for (uint32_t row = 0; row < 20'000; ++row) {
    // 1 to 256 bytes, so that blocks end where an id would not fit.
    ids.push_back(row % 5 == 0 ? PointId(uint64_t{row} << 40)
                               : PointId(std::string(1 + row % 252, 'x') + absl::StrCat(row % 7)));
    column.Append(ids.back());
  }
  ASSERT_EQ(column.rows(), ids.size());
  EXPECT_GT(column.heap().size(), 1u);
  for (uint32_t row = 0; row < ids.size(); ++row) ASSERT_EQ(column.At(row), ids[row]) << row;
}

TEST(IdColumn, SortsAsIdsDoAndEqualOnesByRow) {
  const std::vector<PointId> ids = {PointId("b"),          PointId(uint64_t{30}), PointId("ab"),
                                    PointId(uint64_t{7}),  PointId("b"),          PointId("a"),
                                    PointId(uint64_t{30}), PointId("7")};
  IdColumn column(8);
  for (const PointId& id : ids) column.Append(id);
  EXPECT_THAT(column.SortedRows(), ElementsAre(3, 1, 6, 7, 5, 2, 0, 4));
  EXPECT_TRUE(column.SameId(1, 6));
  EXPECT_TRUE(column.SameId(0, 4));
  EXPECT_FALSE(column.SameId(3, 7)) << "a number is not its digits";
  column.Append(PointId(uint64_t{1}));
  EXPECT_EQ(column.SortedRows()[0], 8u) << "sorted anew";
}

TEST(IdColumn, HasTheSectionsOfTheFile) {
  IdColumn column(4);
  column.Append(PointId(uint64_t{9}));
  EXPECT_TRUE(column.all_numbers());
  EXPECT_THAT(column.heap(), IsEmpty());
  column.Append(PointId("cat"));
  column.Append(PointId(uint64_t{5}));
  column.Append(PointId("do"));
  EXPECT_FALSE(column.all_numbers());
  EXPECT_THAT(column.Values(), ElementsAre(9, 0, 5, 3));
  EXPECT_THAT(column.lengths(), ElementsAre(0, 3, 0, 2));
  EXPECT_THAT(column.heap(), ElementsAre("catdo"));
}

}  // namespace
}  // namespace mrl::store
