/*
 * idn: see idn.h.
 */
#include "mail/idn.h"

#include <idn2.h>
#include <string.h>

#include "base/encode.h"
#include "mail/address.h"
#include "mail/domain.h"

bool idn_is_ascii(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] >= 128)
            return false;
    return true;
}

/* A quoted local part may hold an @, a domain may not. */
static size_t find_last_at(struct span address)
{
    size_t at = address.len;
    while (at > 0 && address.data[at - 1] != '@')
        at--;
    return at;
}

static enum fault convert(struct arena *a, struct span local, const char *domain,
                          struct span *ascii_out)
{
    char *labels = NULL;
    int result = idn2_to_ascii_8z(domain, &labels, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
    if (result == IDN2_MALLOC)
        return FAULT_NO_MEMORY;
    struct span name = result == IDN2_OK ? span_text(labels) : (struct span){NULL, 0};
    enum fault fault = FAULT_NONE;
    if (domain_check(name, 0) != FAULT_NONE || local.len + name.len > ADDRESS_MAX)
        fault = FAULT_NO_UTF8;
    else
        *ascii_out = arena_printf(a, "%.*s%.*s", SPAN_PRINT(local), SPAN_PRINT(name));
    idn2_free(labels);
    return fault != FAULT_NONE || ascii_out->data != NULL ? fault : FAULT_NO_MEMORY;
}

enum fault idn_address_to_ascii(struct arena *a, struct span address, struct span *ascii_out)
{
    char domain[ADDRESS_MAX + 1];
    size_t at = find_last_at(address);
    struct span local = span_sub(address, 0, at), name = span_skip(address, at);
    *ascii_out = address;
    if (idn_is_ascii(address))
        return FAULT_NONE;
    *ascii_out = (struct span){NULL, 0};
    bool is_text = utf8_valid(name) && span_find_byte(name, 0, 0) == name.len;
    if (at == 0 || !idn_is_ascii(local) || name.len > ADDRESS_MAX || !is_text)
        return FAULT_NO_UTF8;
    memcpy(domain, name.data, name.len);
    domain[name.len] = '\0';
    return convert(a, local, domain, ascii_out);
}
