/*
 * table_users: the lines of a users file; see table.h.
 */
#include <string.h>

#include "config/table_inside.h"

#define FIELDS_MAX    6
#define USER_MAX      64 /* RFC 5321 4.5.3.1.1 */
#define READ_OTHERS   04u
#define KIBIBYTE_BITS 10

enum field { NAME, HASH, UID, GID, HOME, QUOTA };

struct fields {
    struct span text[FIELDS_MAX];
    size_t at[FIELDS_MAX]; /* in the line */
    size_t count;
};

static bool complain(struct table_reader *r, size_t at, const char *what)
{
    report_error(&r->report, table_place(r, at), "%s", what);
    return false;
}

/* Without the blanks around each. */
static bool split(struct table_reader *r, struct span line, struct fields *f)
{
    size_t at = 0;
    *f = (struct fields){.count = 0};
    for (bool is_last = false; !is_last;) {
        size_t end = span_find_byte(line, ':', at);
        is_last = end == line.len;
        while (at < end && (line.data[at] == ' ' || line.data[at] == '\t'))
            at++;
        if (f->count == FIELDS_MAX)
            return complain(r, at, "there are more fields than name:hash:uid:gid:home:quota");
        f->at[f->count] = at;
        f->text[f->count++] = span_trim(span_sub(line, at, end - at));
        at = end + 1;
    }
    if (f->count == UID + 1 || f->count == GID + 1)
        return complain(r, f->at[UID], "uid, gid and home come together: name:hash:uid:gid:home");
    return true;
}

/* What a path is made of: it must stay one component, and not be hidden. */
static bool check_name(struct table_reader *r, const struct fields *f)
{
    struct span name = f->text[NAME];
    if (name.len == 0)
        return complain(r, f->at[NAME], "the name is missing");
    if (name.len > USER_MAX)
        return complain(r, f->at[NAME], "a name has at most 64 bytes (RFC 5321 4.5.3.1.1)");
    if (span_find_byte(name, '@', 0) < name.len)
        return complain(r, f->at[NAME], "a user has no @: the domain is that of the block");
    if (span_find_byte(name, '/', 0) < name.len || !table_is_dot_string(name))
        return complain(r, f->at[NAME],
                        "a name is made of letters, digits and !#$%&'*+-=?^_`{|}~, with single "
                        "dots inside");
    return true;
}

static bool check_hash(struct table_reader *r, const struct fields *f, struct table_user *user)
{
    struct span hash = f->text[HASH];
    for (size_t i = 0; i < hash.len; i++)
        if (hash.data[i] == ' ' || hash.data[i] == '\t' || hash.data[i] >= 0x7f)
            return complain(r, f->at[HASH], "a password hash has neither blanks nor umlauts");
    user->has_password = hash.len > 0 && hash.data[0] != '*' && hash.data[0] != '!';
    return true;
}

static bool take_id(struct table_reader *r, const struct fields *f, enum field field,
                    uint32_t *id_out)
{
    uint64_t id = 0;
    if (!span_parse_u64(f->text[field], UINT32_MAX - 1, &id))
        return complain(r, f->at[field], "expected a number: uid and gid are written as numbers");
    if (id == 0)
        return complain(r, f->at[field], "0 is root's: no mail is delivered as root");
    *id_out = (uint32_t)id;
    return true;
}

static bool has_dots(struct span path)
{
    struct span part;
    while (path.len > 0) {
        path = span_split(path, '/', &part);
        if (span_equal(part, SPAN("..")) || span_equal(part, SPAN(".")))
            return true;
    }
    return false;
}

static bool check_home(struct table_reader *r, const struct fields *f)
{
    struct span home = f->text[HOME];
    if (home.len == 0 || home.data[0] != '/' || has_dots(home))
        return complain(r, f->at[HOME],
                        "expected a path that begins with / and has no . or .. in it");
    if (home.len > TABLE_HOME_MAX)
        return complain(r, f->at[HOME], "the home has more than 1000 bytes");
    return true;
}

/* "0", "500M": as sizes of the configuration. */
static bool take_quota(struct table_reader *r, const struct fields *f, uint64_t *bytes_out)
{
    static const char units[] = "KMGT";
    struct span digits = f->text[QUOTA];
    unsigned shift = 0;
    const char *unit = digits.len == 0 || digits.data[digits.len - 1] == 0
                           ? NULL
                           : strchr(units, digits.data[digits.len - 1]);
    if (unit != NULL) {
        shift = (unsigned)(unit - units + 1) * KIBIBYTE_BITS;
        digits.len--;
    }
    uint64_t number = 0;
    if (!span_parse_u64(digits, UINT64_MAX >> shift, &number))
        return complain(r, f->at[QUOTA], "expected a size such as 500M or 2G (units: K M G T)");
    *bytes_out = number << shift;
    return true;
}

static bool read_user(struct table_reader *r, const struct fields *f, struct table_user *user)
{
    if (!check_name(r, f) || (f->count > HASH && !check_hash(r, f, user)))
        return false;
    if (f->count > HOME) {
        user->has_ids = f->text[UID].len > 0 || f->text[GID].len > 0;
        if (user->has_ids && (!take_id(r, f, UID, &user->uid) || !take_id(r, f, GID, &user->gid)))
            return false;
        if ((user->has_ids || f->text[HOME].len > 0) && !check_home(r, f))
            return false;
        user->home = f->text[HOME];
    }
    return f->count <= QUOTA || f->text[QUOTA].len == 0 || take_quota(r, f, &user->quota_bytes);
}

static void keep(struct table_reader *r, const struct fields *f, const struct table_user *user)
{
    struct table *t = r->table;
    void *rows = t->users;
    struct table_user *row = table_grow(r, &rows, sizeof *row, table_place(r, f->at[NAME]));
    t->users = rows;
    if (row == NULL)
        return;
    *row = *user;
    row->name = table_name(r, f->text[NAME]);
    row->home = arena_copy(&t->memory, user->home);
    if (t->memory.full)
        r->fault = FAULT_NO_MEMORY;
}

void table_read_users(struct table_reader *r, uint32_t mode)
{
    struct span line;
    bool is_bad, has_hashes = false;
    while (table_line(r, &line, &is_bad)) {
        struct fields f;
        struct table_user user = {.has_password = false};
        if (is_bad || table_is_rest(line) || !split(r, line, &f))
            continue;
        if (!read_user(r, &f, &user))
            continue;
        has_hashes = has_hashes || user.has_password;
        keep(r, &f, &user);
    }
    if (has_hashes && (mode & READ_OTHERS) != 0)
        report_error(&r->report, (struct place){1, 1, 0},
                     "password hashes stand in it, and others can read it; chmod o-r it first");
}
