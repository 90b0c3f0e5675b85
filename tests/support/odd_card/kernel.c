/* Preloaded into a sound host: a kernel with one card, "Odd", whose device 0 plays and records. What "hw:0,0" is, the
   configuration says. Only what PortAudio asks of a card's control device. */
#include <alsa/asoundlib.h>

static int nothing;

int snd_card_next(int *card)
{
	*card = *card < 0 ? 0 : -1;
	return 0;
}

int snd_ctl_open(snd_ctl_t **ctl, const char *name, int mode)
{
	(void)mode;
	*ctl = (snd_ctl_t *)&nothing;
	return strcmp(name, "hw:0") ? -ENODEV : 0;
}

int snd_ctl_close(snd_ctl_t *ctl)
{
	(void)ctl;
	return 0;
}

int snd_ctl_card_info(snd_ctl_t *ctl, snd_ctl_card_info_t *info)
{
	(void)ctl, (void)info;
	return 0;
}

const char *snd_ctl_card_info_get_name(const snd_ctl_card_info_t *info)
{
	(void)info;
	return "Odd";
}

int snd_ctl_pcm_next_device(snd_ctl_t *ctl, int *device)
{
	(void)ctl;
	*device = *device < 0 ? 0 : -1;
	return 0;
}

int snd_ctl_pcm_info(snd_ctl_t *ctl, snd_pcm_info_t *info)
{
	(void)ctl, (void)info;
	return 0;
}

const char *snd_pcm_info_get_name(const snd_pcm_info_t *info)
{
	(void)info;
	return "Analog";
}
