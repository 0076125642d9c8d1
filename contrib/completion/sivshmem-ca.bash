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
		-*)	;;
		*)	[ -n "$command" ] || command=${COMP_WORDS[i]} ;;
		esac
	done
	case $prev in
	--dir|--run-dir|--out)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
	--policy)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
	--uid)	mapfile -t COMPREPLY < <(compgen -u -- "$cur"); return ;;
	--gid)	mapfile -t COMPREPLY < <(compgen -g -- "$cur"); return ;;
	--vm)	mapfile -t COMPREPLY < <(compgen -W \
			"host $(_sivshmem_ca_names vms "$dir")" -- "$cur"); return ;;
	esac
	case $command in
	'')	words='--dir --help --version init issue list show check qemu-args status' ;;
	init)	words='--host' ;;
	issue)	words="--out --vm --uid --gid --days --not-before --not-after
			$(_sivshmem_ca_names services "$dir")" ;;
	list)	words='--json' ;;
	show|check)
		mapfile -t COMPREPLY < <(compgen -f -W '--json' -- "$cur"); return ;;
	qemu-args)
		words="--run-dir --policy --json $(_sivshmem_ca_names vms "$dir")" ;;
	status)	words='--run-dir --json' ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -o filenames -F _sivshmem_ca sivshmem-ca
