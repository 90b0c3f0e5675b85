# In the virtual machine: a Raspberry Pi's header with a button at GPIO17 and an LED at GPIO27, played by the kernel. To be sourced.
# 54 lines, the header's among them; root's alone, as the kernel makes them. Its kernel's own header chip is the first, too.
mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
modprobe gpio-sim
chip=/sys/kernel/config/gpio-sim/pi
mkdir -p $chip/bank0
echo 54 >$chip/bank0/num_lines
echo pinctrl-bcm2835 >$chip/bank0/label
for line in 17 27; do mkdir $chip/bank0/line$line; done
echo 1 >$chip/live
