#include "lib/weights/zip_archive.h"

#include <zip.h>

#include "lib/core/error.h"

namespace mtlora {
namespace fs = std::filesystem;

ZipArchive::ZipArchive(const fs::path& file) : file_(file.string()) {
  int code = 0;
  zip_ = {zip_open(file.c_str(), ZIP_RDONLY, &code), [](zip* open) {
            if (open) zip_discard(open);
          }};
  if (!zip_) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string why = zip_error_strerror(&error);
    zip_error_fini(&error);
    fail("{}: not a whole zip archive: {}; is the file cut off?", file_, why);
  }
  const zip_int64_t count = zip_get_num_entries(zip_.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    const char* name = zip_get_name(zip_.get(), static_cast<zip_uint64_t>(i), ZIP_FL_ENC_RAW);
    if (!name) fail("{}: entry {} of the zip archive has no name", file_, i);
    names_.emplace_back(name);
  }
}

bool ZipArchive::has(const std::string& name) const {
  return zip_name_locate(zip_.get(), name.c_str(), ZIP_FL_ENC_RAW) >= 0;
}

uint64_t ZipArchive::index_of(const std::string& name) const {
  const zip_int64_t index = zip_name_locate(zip_.get(), name.c_str(), ZIP_FL_ENC_RAW);
  if (index < 0) fail("{}: lacks the entry \"{}\"", file_, name);
  return static_cast<uint64_t>(index);
}

uint64_t ZipArchive::size_bytes(const std::string& name) const {
  zip_stat_t found;
  zip_stat_init(&found);
  constexpr zip_uint64_t kNeeded = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
  if (zip_stat_index(zip_.get(), index_of(name), 0, &found) != 0 ||
      (found.valid & kNeeded) != kNeeded)
    fail("{}: the entry \"{}\" has no size", file_, name);
  // Deflate makes nothing more than 1032 times smaller; a larger claim is no reason to allocate.
  const uint64_t most = found.comp_method == ZIP_CM_STORE ? 1 : 1032;
  if (found.comp_size > fs::file_size(file_) || found.size / most > found.comp_size)
    fail("{}: the entry \"{}\" claims {} bytes, which it cannot hold", file_, name, found.size);
  return found.size;
}

void ZipArchive::read(const std::string& name, void* to) const {
  const uint64_t size = size_bytes(name);
  const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> entry(
      zip_fopen_index(zip_.get(), index_of(name), 0), zip_fclose);
  if (!entry) fail("{}: cannot open the entry \"{}\": {}", file_, name, zip_strerror(zip_.get()));
  uint64_t done = 0;
  while (done < size) {
    const zip_int64_t got = zip_fread(entry.get(), static_cast<char*>(to) + done, size - done);
    if (got <= 0) fail("{}: the entry \"{}\" is damaged or cut off", file_, name);
    done += static_cast<uint64_t>(got);
  }
  char more;  // the checksum is compared at the end, which is met by reading past it
  if (zip_fread(entry.get(), &more, 1) != 0)
    fail("{}: the entry \"{}\" is damaged: {}", file_, name, zip_file_strerror(entry.get()));
}

}  // namespace mtlora
