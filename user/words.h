/* Split a line into words, with the quotes and escapes of redis.conf. */
#ifndef WC_WORDS_H
#define WC_WORDS_H

#define WC_WORDS_MAX 64

struct wc_words {
    int n;
    char *word[WC_WORDS_MAX]; /* into storage */
    char *storage;            /* one allocation */
};

/* "..." knows \n \r \t \b \a \xHH and \ before anything else as that; '...' knows only \'. A quoted word ends at its
 * quote, which a blank or the end must follow. 0; -EINVAL unbalanced quotes; -E2BIG too many words; -EILSEQ a \x00;
 * -ENOMEM. On error there is nothing to free. */
int wc_words_split(struct wc_words *w, const char *line);
void wc_words_free(struct wc_words *w);

#endif
