#include "lib/weights/rename.h"

#include "tests/support/test.h"

using namespace mtlora;

TEST_CASE("names are rewritten by each rule that matches, in order", "[weights]") {
  const std::vector<Rename> renames{
      {"bert.**", "**"}, {"**LayerNorm.gamma", "**LayerNorm.weight"}, {"**.beta", "**.bias"}};
  CHECK(renamed("bert.embeddings.LayerNorm.gamma", renames) == "embeddings.LayerNorm.weight");
  CHECK(renamed("LayerNorm.gamma", renames) == "LayerNorm.weight");
  CHECK(renamed("embeddings.LayerNorm.beta", renames) == "embeddings.LayerNorm.bias");
  CHECK(renamed("roberta.pooler", renames) == "roberta.pooler");
}
