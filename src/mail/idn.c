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

static enum fault join(struct arena *a, struct span local, struct span name,
                       struct span *joined_out)
{
    uint8_t *bytes = arena_alloc(a, local.len + name.len);
    if (bytes == NULL)
        return FAULT_NO_MEMORY;
    if (local.len > 0)
        memcpy(bytes, local.data, local.len);
    memcpy(bytes + local.len, name.data, name.len);
    *joined_out = span_of(bytes, local.len + name.len);
    return FAULT_NONE;
}

static enum fault convert(struct arena *a, struct span local, struct span domain,
                          struct span *ascii_out)
{
    char text[ADDRESS_MAX + 1], *labels = NULL;
    *ascii_out = (struct span){NULL, 0};
    if (domain.len > ADDRESS_MAX || span_find_byte(domain, 0, 0) < domain.len ||
        !utf8_valid(domain))
        return FAULT_NO_UTF8;
    memcpy(text, domain.data, domain.len);
    text[domain.len] = '\0';
    int result = idn2_to_ascii_8z(text, &labels, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
    if (result == IDN2_MALLOC)
        return FAULT_NO_MEMORY;
    struct span name = result == IDN2_OK ? span_text(labels) : (struct span){NULL, 0};
    enum fault fault = FAULT_NO_UTF8;
    if (domain_check(name, 0) == FAULT_NONE && local.len + name.len <= ADDRESS_MAX)
        fault = join(a, local, name, ascii_out);
    idn2_free(labels);
    return fault;
}

enum fault idn_address_to_ascii(struct arena *a, struct span address, struct span *ascii_out)
{
    size_t at = find_last_at(address);
    struct span local = span_sub(address, 0, at), name = span_skip(address, at);
    *ascii_out = address;
    if (idn_is_ascii(address))
        return FAULT_NONE;
    *ascii_out = (struct span){NULL, 0};
    if (at == 0 || !idn_is_ascii(local))
        return FAULT_NO_UTF8;
    return convert(a, local, name, ascii_out);
}

enum fault idn_domain_to_ascii(struct arena *a, struct span domain, struct span *ascii_out)
{
    *ascii_out = domain;
    return idn_is_ascii(domain) ? FAULT_NONE : convert(a, SPAN(""), domain, ascii_out);
}
