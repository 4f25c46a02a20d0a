#include "CIdn2.h"
#include <idn2.h>
#include <string.h>

int cidn2_to_ascii(const char *name, char *output, size_t size) {
    char *ascii = NULL;
    int code = idn2_to_ascii_8z(name, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (code != IDN2_OK) return code;
    size_t length = strlen(ascii);
    if (length < size) {
        memcpy(output, ascii, length + 1);
    } else {
        code = IDN2_TOO_BIG_DOMAIN;
    }
    idn2_free(ascii);
    return code;
}

const char *cidn2_error_text(int code) { return idn2_strerror(code); }
