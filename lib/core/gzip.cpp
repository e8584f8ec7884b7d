#include "lib/core/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

#include "lib/core/error.h"

namespace mtlora {

struct GzipFile::Stream {
  gzFile handle;
  ~Stream() { gzclose(handle); }
};

GzipFile::GzipFile(std::filesystem::path file) : path_(std::move(file)) {
  errno = 0;
  gzFile handle = gzopen(path_.c_str(), "rb");
  if (!handle) fail("{}: cannot open: {}", path_.string(), std::strerror(errno));
  stream_.reset(new Stream{handle});
  gzbuffer(handle, 1 << 17);
}

GzipFile::~GzipFile() = default;

std::string GzipFile::read(size_t bytes) {
  std::string out(std::min<size_t>(bytes, INT_MAX), '\0');
  const int read = gzread(stream_->handle, out.data(), static_cast<unsigned>(out.size()));
  // zlib passes a file that is not gzip through as it is, and reports a cut one at its end only.
  int code = Z_OK;
  const char* what = gzerror(stream_->handle, &code);
  if (gzdirect(stream_->handle)) fail("{}: not a gzip file", path_.string());
  if (read < 0 || (code != Z_OK && code != Z_STREAM_END))
    fail("{}: cannot be decompressed: {}", path_.string(), what);
  out.resize(static_cast<size_t>(read));
  return out;
}

}  // namespace mtlora
