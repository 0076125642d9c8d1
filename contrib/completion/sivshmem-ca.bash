# SPDX-License-Identifier: MIT
# Completion of sivshmem-ca(8) for bash: put it into bash-completion's directory.
# shellcheck shell=bash

# The VMs or services of the policy, as `check --json` knows them.
_sivshmem_ca_names() {
	local -a option=()
	[ -z "$2" ] || option=(--dir "$2")
	sivshmem-ca "${option[@]}" check --json 2>/dev/null | jq -r ".$1[].name" 2>/dev/null
}

_sivshmem_ca() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local command='' dir='' words='' i
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--dir)	dir=${COMP_WORDS[++i]} ;;
		--passphrase-file) i=$((i + 1)) ;;
		-*)	;;
		*)	[ -n "$command" ] || command=${COMP_WORDS[i]} ;;
		esac
	done
	case $prev in
	--dir|--run-dir|--out)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
	--policy|--passphrase-file|--from|--new|--audit)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
	--days|--not-before|--not-after|--host)
		return ;;
	--uid)	mapfile -t COMPREPLY < <(compgen -u -- "$cur"); return ;;
	--gid)	mapfile -t COMPREPLY < <(compgen -g -- "$cur"); return ;;
	--vm)	mapfile -t COMPREPLY < <(compgen -W \
			"host $(_sivshmem_ca_names vms "$dir")" -- "$cur"); return ;;
	esac
	case $command in
	'')	words='--dir --passphrase-file --help --version init issue list show renew revoke
			rotate-host intermediate passphrase reload audit check qemu-args libvirt-xml
			status' ;;
	init)	words='--host' ;;
	issue)	words="--out --vm --uid --gid --days --not-before --not-after
			$(_sivshmem_ca_names services "$dir")" ;;
	list)	words='--json' ;;
	show|check)
		mapfile -t COMPREPLY < <(compgen -f -W '--json' -- "$cur"); return ;;
	renew)	mapfile -t COMPREPLY < <(compgen -d -W \
			'--new-key --days --revoke --run-dir' -- "$cur"); return ;;
	revoke)	words="--vm --from --run-dir $(_sivshmem_ca_names services "$dir")" ;;
	rotate-host) words='--days --run-dir' ;;
	intermediate) words='--out --days' ;;
	passphrase) words='root intermediate host --new --remove' ;;
	reload)	words='--run-dir' ;;
	audit)	mapfile -t COMPREPLY < <(compgen -f -W 'verify --audit' -- "$cur"); return ;;
	qemu-args)
		words="--run-dir --policy --json $(_sivshmem_ca_names vms "$dir")" ;;
	libvirt-xml)
		words="--run-dir --policy $(_sivshmem_ca_names vms "$dir")" ;;
	status)	words='--run-dir --json' ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -o filenames -F _sivshmem_ca sivshmem-ca
