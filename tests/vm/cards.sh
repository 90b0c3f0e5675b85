# In the virtual machine: sound cards of a real ALSA driver, this tree, and cards.py.
set -e
mkdir /run/tree
cp -r /share/appliance /share/cards.py /run/tree/
cd /run/tree
python3 -m compileall -q appliance
# The USB speaker is away until it is plugged in, and never the first card.
echo 'options snd-usb-audio index=5' >/etc/modprobe.d/usb-speaker.conf
modprobe xhci_pci
udevadm settle
for product in /sys/bus/usb/devices/*/product; do
	if grep -q 'USB Audio' "$product"; then echo 0 >"${product%/product}/authorized"; fi
done
modprobe -r snd-usb-audio
PYTHONPATH=/run/tree python3 cards.py $(cat /share/arguments)
