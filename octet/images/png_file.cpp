#include <png.h>

#include <csetjmp>
#include <cstring>

#include "octet/images/formats.h"
#include "octet/support/error.h"

namespace octet::images {
namespace {

// What libpng reads from, and what it says. It leaves through longjmp: nothing with a destructor may stand between.
struct Reading {
  std::string_view bytes;
  size_t at = 0;
  char message[160] = {};
};

void read_bytes(png_structp png, png_bytep to, size_t count) {
  auto* reading = static_cast<Reading*>(png_get_io_ptr(png));
  if (count > reading->bytes.size() - reading->at) png_error(png, "it is cut off");
  std::memcpy(to, reading->bytes.data() + reading->at, count);
  reading->at += count;
}

[[noreturn]] void fail(png_structp png, png_const_charp message) {
  auto* reading = static_cast<Reading*>(png_get_error_ptr(png));
  std::snprintf(reading->message, sizeof reading->message, "%s", message);
  png_longjmp(png, 1);
}

void ignore(png_structp, png_const_charp) {}

// Any type of PNG becomes three bytes a pixel: of 16 bits the upper 8, of a palette its colors, alpha left out.
void make_rgb(png_structp png, png_infop info) {
  png_set_strip_16(png);
  png_set_packing(png);
  png_set_expand(png);
  png_set_gray_to_rgb(png);
  png_set_strip_alpha(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
}

// False where libpng fails; `reading.message` then says why.
bool read_header(png_structp png, png_infop info, png_uint_32* width, png_uint_32* height) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_read_info(png, info);
  *width = png_get_image_width(png, info);
  *height = png_get_image_height(png, info);
  return true;
}

bool read_rows(png_structp png, png_infop info, png_bytepp rows, size_t row_bytes) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  make_rgb(png, info);
  if (png_get_rowbytes(png, info) != row_bytes) png_error(png, "its rows have another length than its header says");
  png_read_image(png, rows);
  png_read_end(png, nullptr);
  return true;
}

struct Png {
  png_structp png = nullptr;
  png_infop info = nullptr;
  explicit Png(Reading* reading) {
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, reading, fail, ignore);
    if (png != nullptr) info = png_create_info_struct(png);
  }
  ~Png() { png_destroy_read_struct(&png, &info, nullptr); }
  Png(const Png&) = delete;
  Png& operator=(const Png&) = delete;
};

}  // namespace

ImageSize png_size(std::string_view bytes, const std::string& name) {
  constexpr size_t kSizes = 16;  // behind the signature and IHDR's length and name
  if (bytes.size() < kSizes + 8) throw Error(name, "is a damaged PNG: it is cut off");
  const auto number = [&](size_t at) {
    int64_t value = 0;
    for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
    return value;
  };
  const ImageSize size{number(kSizes + 4), number(kSizes)};
  check_sizes(size.height, size.width, name);
  return size;
}

Image decode_png(std::string_view bytes, const std::string& name, int) {
  Reading reading{bytes};
  const Png png(&reading);
  if (png.info == nullptr) throw Error(name, "no memory for a PNG decoder");
  const auto damaged = [&] { return Error(name, str("is a damaged PNG: ", std::string(reading.message))); };
  png_set_read_fn(png.png, &reading, read_bytes);
  png_set_user_limits(png.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // check_sizes() has the limit
  png_set_chunk_malloc_max(png.png, png_alloc_size_t{8} << 20);
  png_uint_32 width = 0, height = 0;
  if (!read_header(png.png, png.info, &width, &height)) throw damaged();
  check_sizes(height, width, name);
  Image image = make_image(height, width);
  std::vector<png_bytep> rows(height);
  for (size_t y = 0; y < rows.size(); ++y) rows[y] = image.at(static_cast<int64_t>(y), 0);
  if (!read_rows(png.png, png.info, rows.data(), static_cast<size_t>(width) * 3)) throw damaged();
  return image;
}

}  // namespace octet::images
